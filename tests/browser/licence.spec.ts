// The licence in the browser: a picture of a code, the ladder's line, a request; and the vendor's issuer with and without its key.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { Appliance, rivers, watch, type Site } from "./appliance.ts";
import { picture as keep, prepare, settled, signedIn, sound } from "./steps.ts";

const vendor = mkdtempSync(join(tmpdir(), "onsite-vendor-"));
const key = join(vendor, "license-private-key.pem");
const onsite = (...words: string[]): string => execFileSync(process.env.ONSITE_BINARY ?? "", ["license", ...words], { encoding: "utf8" });
onsite("keygen", "--out", vendor, "--unencrypted");
const publicKey = readFileSync(join(vendor, "license-public-key.pem"), "utf8");
let site: Site;

test.beforeAll(async () => {
  site = await rivers();
});

test.afterAll(() => {
  site.stop();
  rmSync(vendor, { recursive: true, force: true });
});

test("a picture activates, the ladder speaks up, a request is made", async ({ browser }) => {
  const appliance = await Appliance.start({ LICENSE_PUBLIC_KEY_PEM: publicKey });
  const made = await prepare(appliance, site.url);
  const context = await signedIn(browser, made);
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  const picture = join(vendor, "short.png");
  const order = ["--key", key, "--customer", "rivers", "--company", "Rivers Ltd", "--plan", "business", "--development"];
  onsite("issue", ...order, "--days", "10", "--qr-out", picture);

  await page.goto(`${appliance.url}/appliance/licence`);
  await settled(page);
  const request = page.getByRole("region", { name: "Ask the vendor for a code" });
  await request.getByLabel("Company").fill("Rivers Ltd");
  await request.getByRole("button", { name: "Make a request" }).click();
  await expect(request.getByRole("img", { name: "QR code of the licence request" })).toBeVisible();
  const download = page.waitForEvent("download");
  await request.getByRole("button", { name: "Download the file" }).click();
  const file = join(vendor, "rivers.onsite-request");
  await (await download).saveAs(file);
  await sound(page, "licence request");

  await page.locator("input[type=file]").setInputFiles(picture);
  await expect(page.getByRole("heading", { name: "Business" })).toBeVisible();
  const banner = page.getByRole("status", { name: "Licence" });
  await expect(banner).toContainText("ends in 10 days");
  await expect(page.getByRole("region", { name: "What was said about this code" })).toContainText("14 days left");
  await sound(page, "licence ladder");
  await page.locator("main").evaluate((main) => main.scrollTo(0, 0));
  await keep(page, "licence top");
  await page.getByRole("button", { name: "Put the notice away" }).click();
  await expect(banner).toHaveCount(0);
  await page.reload();
  await settled(page);
  await expect(banner).toHaveCount(0);

  // The answer to the request counts here; then the vendor takes it back.
  const bound = JSON.parse(onsite("issue", ...order, "--request", file, "--json")) as { code: string; claims: { jti: string } };
  await page.getByLabel("Activation code").fill(bound.code);
  await page.getByRole("button", { name: "Enter", exact: true }).click();
  await expect(page.getByText("This installation", { exact: true })).toBeVisible();
  onsite("revoke", bound.claims.jti, "--key", key, "--reason", "a journey");
  await page.locator("input[type=file]").setInputFiles(join(vendor, "revocations.onsite"));
  await expect(page.getByText("Number 1 of")).toBeVisible();
  await expect(banner).toContainText("revoked");
  await sound(page, "licence revoked");
  faults.check();
  await context.close();
  await appliance.stop();
});

for (const withKey of [false, true]) {
  test(`the issuer ${withKey ? "signs" : "keeps orders until it has a key"}`, async ({ browser }) => {
    const keys = { LICENSE_PUBLIC_KEY_PEM: publicKey, LICENSE_SIGNING_PRIVATE_KEY_PEM: readFileSync(key, "utf8") };
    const appliance = await Appliance.start({ ONSITE: "0", ...(withKey ? keys : {}) });
    const made = await prepare(appliance, site.url);
    const context = await signedIn(browser, made);
    const page = await context.newPage();
    const faults = watch(page, appliance.url);
    await page.goto(appliance.url);
    await page.getByRole("link", { name: "Issuer" }).click();
    await settled(page);
    await page.getByLabel("Customer").fill("acme");
    await page.getByRole("textbox", { name: "Company" }).fill("Acme Überwerke AG");
    await page.getByRole("button", { name: "Order", exact: true }).click();
    if (withKey) {
      const code = page.getByRole("dialog", { name: "Activation code for Acme Überwerke AG" });
      await expect(code.getByRole("img", { name: "QR code of the activation code" })).toBeVisible();
      await expect(code.getByLabel("Activation code", { exact: true })).toHaveValue(/^ONSITE1-/);
      await sound(page, "issuer code");
    } else {
      await expect(page.getByText("onprem_license_signing_not_configured")).toBeVisible();
      await expect(page.getByText("Waits for a key")).toBeVisible();
      await sound(page, "issuer pending");
      await page.goto(`${appliance.url}/c/${made.company}/usage`);
      await expect(page.getByRole("region", { name: "On-prem checkout" })).toContainText("Not ready");
    }
    faults.check();
    await context.close();
    await appliance.stop();
  });
}
