// Passkeys, with an authenticator that Chromium makes up: set up, asked for at sign-in, a fresh proof, renamed and taken away.
import { expect, test, type CDPSession, type Page } from "@playwright/test";
import { Appliance, watch } from "./appliance.ts";
import { ADA, admin, password, picture, sound } from "./steps.ts";

/** A device that checks its owner, and what it is told to do about that. */
async function device(page: Page): Promise<{ recognises: (owner: boolean) => Promise<void> }> {
  const cdp: CDPSession = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  return { recognises: async (owner) => void (await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: owner })) };
}

async function signOut(page: Page): Promise<void> {
  await page.getByRole("button", { name: /theme and sign-out/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
}

test("a passkey is set up, asked for, proves once more, and is taken away", async ({ page }) => {
  const appliance = await Appliance.start({ ONSITE_STEP_UP_MINUTES: "1" });
  await admin(appliance, { "/api/companies": { name: "Rivers Ltd" } });
  const home = appliance.url.replace("127.0.0.1", "localhost");
  const faults = watch(page, home);
  const phone = await device(page);
  await page.goto(home);
  await password(page, ADA);
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();

  await page.goto(`${home}/account`);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByLabel("Name of the passkey").fill("Ada's laptop");
  await sound(page, "passkey setup");
  await phone.recognises(false);
  await page.getByRole("button", { name: "Create the passkey" }).click();
  await expect(page.getByText("No passkey was given")).toBeVisible();
  await picture(page, "passkey cancelled");
  await phone.recognises(true);
  await page.getByRole("button", { name: "Create the passkey" }).click();
  const codes = page.getByRole("list", { name: "Recovery codes" }).getByRole("listitem");
  await expect(codes).toHaveCount(10);
  const recovery = await codes.first().innerText();
  await page.getByRole("button", { name: "I have kept them" }).click();
  const row = page.getByRole("row", { name: /Ada's laptop/ });
  await expect(row).toContainText("Never");
  await sound(page, "passkeys");
  await page.getByRole("button", { name: "Rename Ada's laptop" }).click();
  await page.getByLabel("Name", { exact: true }).fill("Work laptop");
  await page.getByRole("dialog").getByRole("button", { name: "Rename" }).click();
  await expect(page.getByRole("row", { name: /Work laptop/ })).toBeVisible();
  // The device has one already: the browser says so before the server has to.
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByLabel("Name of the passkey").fill("Another");
  await page.getByRole("button", { name: "Create the passkey" }).click();
  await expect(page.getByText("This device holds a passkey of yours")).toBeVisible();

  await signOut(page);
  await password(page, ADA);
  await expect(page.getByRole("heading", { name: "One more step" })).toBeVisible();
  await sound(page, "second step by passkey");
  await phone.recognises(false);
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await expect(page.getByText("No passkey was given")).toBeVisible();
  await phone.recognises(true);
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();

  await page.goto(`${home}/account`);
  await expect(page.getByRole("row", { name: /Work laptop/ })).not.toContainText("Never");
  // A minute later the proof of this session is old, and what is asked for waits for a new one.
  await page.waitForTimeout(61_000);
  await page.getByRole("button", { name: "New recovery codes" }).click();
  const proof = page.getByRole("dialog", { name: "Is it still you?" });
  await expect(proof.getByLabel("By")).toHaveValue("passkey");
  await sound(page, "step up by passkey");
  await proof.getByRole("button", { name: "Go on" }).click();
  await expect(codes).toHaveCount(10);
  await expect(codes.first()).not.toHaveText(recovery);
  const fresh = await codes.first().innerText();
  await page.getByRole("button", { name: "I have kept them" }).click();
  faults.check();

  // By its address there are no passkeys, and the page says why and what to do; the recovery codes still count.
  const byAddress = await page.context().newPage();
  const alsoFaults = watch(byAddress, appliance.url);
  await byAddress.goto(appliance.url);
  await password(byAddress, ADA);
  await byAddress.getByRole("button", { name: "Use a passkey" }).click();
  await expect(byAddress.getByText("you opened this server by its address, 127.0.0.1")).toBeVisible();
  await sound(byAddress, "second step by address");
  await byAddress.getByRole("button", { name: "Use a recovery code" }).click();
  await byAddress.getByLabel("Recovery code").fill(fresh);
  await byAddress.getByRole("button", { name: "Sign in" }).click();
  await expect(byAddress.getByRole("navigation", { name: "Main" })).toBeVisible();
  await byAddress.goto(`${appliance.url}/account`);
  await expect(byAddress.getByText("Passkeys belong to a name")).toBeVisible();
  await expect(byAddress.getByText("Only at localhost")).toBeVisible();
  await sound(byAddress, "passkeys by address");
  alsoFaults.check();
  await byAddress.close();

  await page.getByRole("button", { name: "Remove Work laptop" }).click();
  const last = page.getByRole("dialog", { name: /Remove the passkey/ });
  await expect(last).toContainText("It is your last second factor");
  await sound(page, "last passkey");
  await last.getByRole("button", { name: "Remove" }).click();
  await expect(page.getByRole("row", { name: /Work laptop/ })).toHaveCount(0);
  faults.check();
  await appliance.stop();
});

test("where everybody needs a factor, a passkey is one", async ({ page }) => {
  const appliance = await Appliance.start({ ONSITE_REQUIRE_SECOND_FACTOR: "1" });
  await admin(appliance);
  const home = appliance.url.replace("127.0.0.1", "localhost");
  const faults = watch(page, home);
  await device(page);
  await page.goto(home);
  await password(page, ADA);
  await expect(page.getByRole("heading", { name: "Set up a second factor" })).toBeVisible();
  await page.getByRole("button", { name: "Use a passkey instead" }).click();
  await page.getByLabel("Name of the passkey").fill("Laptop");
  await sound(page, "passkey required");
  await page.getByRole("button", { name: "Create the passkey" }).click();
  await page.getByRole("button", { name: "I have kept them" }).click();
  await expect(page.getByRole("heading", { name: "Activate" })).toBeVisible();
  faults.check();
  await appliance.stop();
});
