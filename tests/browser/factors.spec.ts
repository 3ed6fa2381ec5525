// Signing in with more than a password: an authenticator app, its recovery codes, a fresh proof, mailed links and codes.
import { expect, test } from "@playwright/test";
import { Appliance, freePort, watch } from "./appliance.ts";
import { linkIn, Mailbox, totp } from "./mailbox.ts";
import { ADA, admin, password, sound, VERA } from "./steps.ts";

test("an authenticator app is set up, asked for, proves once more, and is taken away", async ({ browser, page }) => {
  const appliance = await Appliance.start({ ONSITE_STEP_UP_MINUTES: "1" });
  await admin(appliance, { "/api/companies": { name: "Rivers Ltd" } });
  const faults = watch(page, appliance.url);
  await page.goto(appliance.url);
  await password(page, ADA);
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();

  await page.goto(`${appliance.url}/account`);
  await page.getByRole("button", { name: "Set up an app" }).click();
  await expect(page.getByAltText(/QR code/)).toBeVisible();
  await sound(page, "factor setup");
  const secret = (await page.locator("code.secret").innerText()).trim();
  await page.getByLabel("Code").fill("000000");
  await page.getByRole("button", { name: "Confirm the app" }).click();
  await expect(page.getByText("This code is not right")).toBeVisible();
  await page.getByLabel("Code").fill(totp(secret));
  await page.getByRole("button", { name: "Confirm the app" }).click();
  const codesOn = (where: Page) => where.getByRole("list", { name: "Recovery codes" }).getByRole("listitem");
  await expect(codesOn(page)).toHaveCount(10);
  const proven = Date.now();
  const recovery = await codesOn(page).first().innerText();
  await sound(page, "factor recovery codes");
  await page.getByRole("button", { name: "I have kept them" }).click();
  await expect(page.getByText("10 recovery codes left")).toBeVisible();
  await sound(page, "factor on");

  // Signing in goes on in a second browser, while the proof of the first one's session grows old.
  const second = await browser.newContext({ ignoreHTTPSErrors: true });
  const other = await second.newPage();
  const otherFaults = watch(other, appliance.url);
  await other.goto(appliance.url);
  await password(other, ADA);
  await expect(other.getByRole("heading", { name: "One more step" })).toBeVisible();
  await sound(other, "second step");
  // The code that confirmed the app is used up; the next one counts already, for devices whose clock is ahead.
  await other.getByLabel("Code").fill(totp(secret, 1));
  await other.getByRole("button", { name: "Sign in" }).click();
  await expect(other.getByRole("navigation", { name: "Main" })).toBeVisible();
  await other.getByRole("button", { name: /theme and sign-out/ }).click();
  await other.getByRole("menuitem", { name: "Sign out" }).click();
  await password(other, ADA);
  await other.getByRole("button", { name: "Use a recovery code" }).click();
  await other.getByLabel("Recovery code").fill(recovery);
  await other.getByRole("button", { name: "Sign in" }).click();
  await expect(other.getByRole("navigation", { name: "Main" })).toBeVisible();

  await other.goto(`${appliance.url}/account`);
  await expect(other.getByText("9 recovery codes left")).toBeVisible();
  await other.getByRole("button", { name: "New recovery codes" }).click();
  await expect(codesOn(other)).toHaveCount(10);
  await other.getByRole("button", { name: "I have kept them" }).click();
  await expect(other.getByText("10 recovery codes left")).toBeVisible();
  otherFaults.check();
  await second.close();

  // A minute after it the proof is old, and what is asked for waits for a new one: what is left of that minute is waited for.
  await page.waitForTimeout(Math.max(0, proven + 61_000 - Date.now()));
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog", { name: "Remove the second factor?" }).getByRole("button", { name: "Remove" }).click();
  const proof = page.getByRole("dialog", { name: "Is it still you?" });
  await expect(proof).toBeVisible();
  await sound(page, "step up");
  await proof.getByLabel("By").selectOption("password");
  await proof.getByLabel("Your password").fill("not my password");
  await proof.getByRole("button", { name: "Go on" }).click();
  await expect(proof.getByText("This is not your password")).toBeVisible();
  await proof.getByLabel("Your password").fill(ADA.password);
  await proof.getByRole("button", { name: "Go on" }).click();
  await expect(page.getByRole("button", { name: "Set up an app" })).toBeVisible();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  faults.check();
  await appliance.stop();
});

test("where everybody needs a factor, setting one up comes before anything else", async ({ page }) => {
  const appliance = await Appliance.start({ ONSITE_REQUIRE_SECOND_FACTOR: "1" });
  await admin(appliance);
  const faults = watch(page, appliance.url);
  await page.goto(appliance.url);
  await password(page, ADA);
  await expect(page.getByRole("heading", { name: "Set up a second factor" })).toBeVisible();
  await expect(page.getByAltText(/QR code/)).toBeVisible();
  await sound(page, "factor required");
  await page.getByLabel("Code").fill(totp(await page.locator("code.secret").innerText()));
  await page.getByRole("button", { name: "Confirm the app" }).click();
  await page.getByRole("button", { name: "I have kept them" }).click();
  await expect(page.getByRole("heading", { name: "Activate" })).toBeVisible();
  faults.check();
  await appliance.stop();
});

test("an invitation by mail, an address verified by a link, and a sign-in by a mailed code", async ({ page }) => {
  const mailbox = await Mailbox.start();
  const port = await freePort();
  const appliance = await Appliance.start({
    SMTP_URL: mailbox.url,
    ONSITE_MAIL_FROM: "onsite@rivers.example",
    APP_BASE_URL: `https://127.0.0.1:${port}`,
    AUTH_REQUIRE_EMAIL_VERIFICATION: "1",
    AUTH_REQUIRE_EMAIL_2FA: "1",
  }, port);
  await admin(appliance, { "/api/system-admin/egress/rules": { destination: "127.0.0.1", reason: "The mail server of the journeys" } });
  const faults = watch(page, appliance.url);
  await page.goto(appliance.url);
  await password(page, ADA);
  await expect(page.getByRole("heading", { name: "One more step" })).toBeVisible();
  const code = async (to: string): Promise<string> => /sign in: (\d{6})/.exec((await mailbox.find(to, "Your code to sign in")).text)![1]!;
  await page.getByLabel("Code").fill(await code(ADA.email));
  await sound(page, "second step by mail");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Activate" })).toBeVisible();
  const company = await page.evaluate(async () => {
    const made = await fetch("/api/companies", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ name: "Rivers Ltd" }) });
    return ((await made.json()) as { id: string }).id;
  });

  await page.goto(`${appliance.url}/c/${company}/members`);
  await page.getByLabel("E-mail").fill(VERA.email);
  await page.getByRole("button", { name: "Make an invitation" }).click();
  await expect(page.getByRole("dialog", { name: "The invitation is on its way" })).toContainText(VERA.email);
  await page.getByRole("button", { name: "Done" }).click();
  await page.goto(`${appliance.url}/appliance/mail`);
  await expect(page.getByRole("row", { name: /vera/ })).toContainText("Sent");
  await sound(page, "mail");
  const invitation = linkIn(await mailbox.find(VERA.email, "invites you"), "invitation");

  await page.getByRole("button", { name: /theme and sign-out/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await page.goto(`${appliance.url}${invitation}`);
  await page.getByLabel("Name").fill(VERA.name);
  await page.getByLabel("Password", { exact: true }).fill(VERA.password);
  await page.getByRole("button", { name: "Join Rivers Ltd" }).click();
  await expect(page.getByRole("heading", { name: "Your account is made" })).toBeVisible();
  await sound(page, "account made");
  await page.getByRole("link", { name: "Sign in" }).click();
  await password(page, VERA);
  await expect(page.getByText("your mail address is not verified yet")).toBeVisible();
  await page.goto(`${appliance.url}${linkIn(await mailbox.find(VERA.email, "verify that it is yours"), "verify-email")}`);
  await expect(page.getByRole("heading", { name: "Verify your mail address" })).toBeVisible();
  await sound(page, "verify email");
  await page.getByRole("button", { name: "It is my address" }).click();
  await expect(page.getByRole("heading", { name: "Your mail address is verified" })).toBeVisible();
  await page.getByRole("link", { name: "Sign in" }).click();
  await password(page, VERA);
  await page.getByLabel("Code").fill(await code(VERA.email));
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();

  await page.getByRole("button", { name: /theme and sign-out/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("link", { name: "Forgot your password?" }).click();
  await page.getByLabel("E-mail").fill(VERA.email);
  await sound(page, "forgotten password");
  await page.getByRole("button", { name: "Mail the link" }).click();
  await expect(page.getByRole("heading", { name: "Look into your mail" })).toBeVisible();
  await page.goto(`${appliance.url}${linkIn(await mailbox.find(VERA.email, "A new password"), "password-reset")}`);
  await expect(page.getByRole("heading", { name: "Choose a new password" })).toBeVisible();
  faults.check();
  mailbox.stop();
  await appliance.stop();
});
