// Signing in at a provider that is one: there and back in a browser, with every algorithm, groups that give roles, and refusals that say why.
import { expect, test, type Page } from "@playwright/test";
import { Appliance, freePort, watch } from "./appliance.ts";
import { CLIENT, SECRET, Staff } from "./provider.ts";
import { ADA, apiOf, post, settled, sound } from "./steps.ts";

const PEOPLE = {
  vera: { name: "Vera Rubin", email: "vera@rivers.example", groups: ["analysts", "staff"] },
  eve: { name: "Eve", email: "eve@rivers.example", groups: ["guests"] },
};

async function there(page: Page, appliance: Appliance, staff: Staff, user: string): Promise<void> {
  await page.goto(appliance.url);
  await page.getByRole("button", { name: "Sign in with the staff login" }).click();
  await expect(page).toHaveURL(new RegExp(`^${staff.issuer}/interaction/`));
  await page.getByLabel("User").fill(user);
  await page.getByRole("button", { name: "Go on" }).click();
}

test("somebody comes in by a provider, with the role of their group", async ({ page, browser }) => {
  const [port, provided] = [await freePort(), await freePort()];
  const base = `https://127.0.0.1:${port}`;
  const staff = new Staff(provided, base, PEOPLE);
  await staff.start("RS256");
  const settings = { ONSITE_OIDC_ISSUER: staff.issuer, ONSITE_OIDC_CLIENT_ID: CLIENT, ONSITE_OIDC_CLIENT_SECRET: SECRET, ONSITE_OIDC_NAME: "the staff login" };
  const appliance = await Appliance.start({ ...settings, ONSITE_OIDC_SCOPES: "profile,email,groups", ONSITE_LDAP_URL: "ldaps://127.0.0.1:1", ONSITE_LDAP_BASE_DN: "dc=rivers,dc=example", APP_BASE_URL: base }, port);
  const api = await apiOf(appliance);
  await post(api, "/api/setup/redeem", { token: appliance.token, ...ADA });
  await post(api, "/api/companies", { name: "Rivers Ltd" });
  const faults = watch(page, base, staff.issuer);

  await page.goto(base);
  await expect(page.getByRole("button", { name: "Sign in with the staff login" })).toBeVisible();
  await sound(page, "sign-in with all ways");
  await page.getByRole("button", { name: "Account here" }).click();
  await page.getByLabel("E-mail").fill(ADA.email);
  await page.getByLabel("Password").fill(ADA.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();
  await page.goto(`${base}/appliance/sign-on`);
  await settled(page);
  const oidc = page.getByRole("region", { name: "OpenID Connect" });
  await oidc.getByRole("button", { name: "Test it" }).click();
  await expect(oidc).toContainText("is not allowed");
  await post(api, "/api/system-admin/egress/rules", { destination: "127.0.0.1", port: provided, reason: "The provider of the journeys" });
  await oidc.getByRole("button", { name: "Test it" }).click();
  await expect(oidc).toContainText("publishes 3 keys");
  await page.getByLabel("Group", { exact: true }).fill("analysts");
  await page.getByLabel("Role", { exact: true }).selectOption("dev");
  await page.getByRole("button", { name: "Give the role" }).click();
  await expect(page.getByRole("row", { name: /analysts/ })).toContainText("dev");
  await sound(page, "sign-on");
  faults.check();

  for (const algorithm of ["RS256", "PS256", "ES256", "EdDSA"]) {
    await staff.stop();
    await staff.start(algorithm);
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const theirs = await context.newPage();
    const theirFaults = watch(theirs, base, staff.issuer);
    await there(theirs, appliance, staff, "vera");
    await expect(theirs.getByRole("navigation", { name: "Main" })).toBeVisible();
    await expect(theirs).toHaveURL(new RegExp(`^${base}/c/`));
    const me = await theirs.evaluate(async () => (await (await fetch("/api/me")).json()) as { user: object; companies: { role: string }[] });
    expect(me).toMatchObject({ user: { email: "vera@rivers.example", name: "Vera Rubin" }, companies: [{ role: "dev" }] });
    await theirs.goBack();
    await expect(theirs.getByRole("navigation", { name: "Main" }).or(theirs.getByRole("heading", { name: "Staff" }))).toBeVisible();
    theirFaults.check();
    await context.close();
  }

  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const hers = await context.newPage();
  await there(hers, appliance, staff, "eve");
  await expect(hers.getByRole("heading", { name: "You are not signed in" })).toBeVisible();
  await expect(hers.getByText("no group of yours has a place here")).toBeVisible();
  expect(new URL(hers.url()).search).toBe("");
  await sound(hers, "sign-in refused");
  await hers.getByRole("link", { name: "Back to sign-in" }).click();
  await expect(hers.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await context.close();
  await api.dispose();
  await staff.stop();
  await appliance.stop();
});
