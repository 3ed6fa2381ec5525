// Accounts as people use them: roles, one's own usage, sessions, passwords, a second company, and the log that holds all of it.
import { readFileSync } from "node:fs";
import { expect, test, type Page } from "@playwright/test";
import { watch, type Appliance } from "./appliance.ts";
import { apiOf, get, joined, post, livedIn, settled, signedIn, sound, VERA, type Prepared } from "./steps.ts";

const NEW_PASSWORD = "dark matter holds the galaxies together";
let appliance: Appliance;
let made: Prepared;
let hers: Prepared["state"];

livedIn(async (world) => {
  ({ appliance, made } = world);
  hers = await joined(appliance, made, VERA, "viewer");
});

const status = async (state: Prepared["state"]): Promise<number> => {
  const api = await apiOf(appliance, state);
  const answer = await api.get("/api/me");
  await api.dispose();
  return answer.status();
};

async function signIn(page: Page, password: string): Promise<void> {
  await page.getByLabel("E-mail").fill(VERA.email);
  await page.getByLabel("Password").fill(password);
  await page.keyboard.press("Enter");
}

test("a role is changed, taken back, and what it allows is offered: a member changes their own", async ({ browser }) => {
  const context = await signedIn(browser, made);
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  await page.goto(`${appliance.url}/c/${made.company}/members`);
  const role = page.getByLabel("Role of Vera Rubin");
  await role.selectOption("dev");
  await expect(page.getByText("Vera Rubin is dev now")).toBeVisible();
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(role).toHaveValue("viewer");
  await role.selectOption("member");
  await expect(page.getByText("Vera Rubin is member now")).toBeVisible();
  faults.check();
  await context.close();

  const theirs = await signedIn(browser, { state: hers });
  const view = await theirs.newPage();
  const herFaults = watch(view, appliance.url);
  await view.goto(`${appliance.url}/c/${made.company}/automations/${made.widget}`);
  await expect(view.getByRole("button", { name: "Run now" })).toBeVisible();
  await expect(view.getByRole("link", { name: "Edit" })).toHaveCount(0);
  await view.goto(`${appliance.url}/c/${made.company}/automations/${made.widget}/edit`);
  await expect(view.getByText("Somebody else made this automation")).toBeVisible();
  await view.goto(`${appliance.url}/c/${made.company}/chat`);
  await view.getByLabel("Question").fill("How long is the Volga?");
  await view.keyboard.press("Enter");
  await expect(view.getByText("Quoted, not generated")).toBeVisible();
  await view.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Usage" }).click();
  await settled(view);
  await expect(view.getByRole("region", { name: "Yours" })).toContainText("Your balance");
  const row = view.getByRole("region", { name: "Your statement" }).getByRole("row", { name: /Chat/ });
  await expect(row.getByRole("link", { name: "How long is the Volga?" })).toBeVisible();
  await expect(view.getByText("By model")).toHaveCount(0);
  await sound(view, "own usage");
  herFaults.check();
  await theirs.close();
});

test("sessions are told apart and ended, all others only when asked", async ({ browser }) => {
  const one = await apiOf(appliance);
  await post(one, "/api/auth/login", { email: VERA.email, password: VERA.password });
  const two = await apiOf(appliance);
  await post(two, "/api/auth/login", { email: VERA.email, password: VERA.password });
  const context = await signedIn(browser, { state: hers });
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  await page.goto(`${appliance.url}/account`);
  const ends = page.getByRole("button", { name: /^End session \d/ });
  await expect(ends).toHaveCount(2);
  const names = await ends.evaluateAll((all) => all.map((each) => each.getAttribute("aria-label")));
  expect(new Set(names).size).toBe(2);
  await ends.first().click();
  await expect(page.getByText("The session has ended")).toBeVisible();
  await expect(ends).toHaveCount(1);
  const third = await apiOf(appliance);
  await post(third, "/api/auth/login", { email: VERA.email, password: VERA.password });
  await page.reload();
  await page.getByRole("button", { name: "End all others" }).click();
  const dialog = page.getByRole("dialog", { name: "End 2 other sessions?" });
  await sound(page, "end sessions");
  await dialog.getByRole("button", { name: "Keep" }).click();
  await expect(ends).toHaveCount(2);
  await page.getByRole("button", { name: "End all others" }).click();
  await dialog.getByRole("button", { name: "End all others" }).click();
  await expect(ends).toHaveCount(0);
  for (const api of [one, two, third]) expect((await api.get("/api/me")).status()).toBe(401);
  expect(await status(hers)).toBe(200);
  faults.check();
  await Promise.all([one, two, third].map((api) => api.dispose()));
  await context.close();
});

test("a forgotten password is replaced by a link from the admin, who finds the account by its name", async ({ browser }) => {
  const context = await signedIn(browser, made);
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  await page.goto(`${appliance.url}/appliance/users`);
  await page.getByLabel("Search users").fill("nobody of this name");
  await expect(page.getByText("No account matches")).toBeVisible();
  await page.getByLabel("Search users").fill("vera");
  await expect(page.getByRole("status").filter({ hasText: "1 of 2 accounts" })).toBeVisible();
  await page.getByRole("button", { name: "More for Vera Rubin" }).click();
  await page.getByRole("menuitem", { name: "Link for a new password" }).click();
  const link = await page.getByRole("dialog").getByLabel("Link").inputValue();
  faults.check();
  await context.close();

  const theirs = await browser.newContext({ ignoreHTTPSErrors: true });
  const view = await theirs.newPage();
  const herFaults = watch(view, appliance.url);
  await view.goto(link);
  await expect(view.getByRole("heading", { name: "Choose a new password" })).toBeVisible();
  expect(view.url()).not.toContain("#");
  await sound(view, "password reset");
  await view.getByLabel("Password", { exact: true }).fill(NEW_PASSWORD);
  await view.getByRole("button", { name: "Change the password" }).click();
  await expect(view.getByRole("heading", { name: "The password is changed" })).toBeVisible();
  expect(await status(hers)).toBe(401);
  await view.getByRole("link", { name: "Sign in" }).click();
  await signIn(view, VERA.password);
  await expect(view.getByRole("alert")).toBeVisible();
  await signIn(view, NEW_PASSWORD);
  await expect(view.getByRole("heading", { name: "Hello, Vera" })).toBeVisible();
  hers = await theirs.storageState();
  herFaults.check();
  await theirs.close();
});

test("an invitation is accepted with the account that one has", async ({ browser }) => {
  const ada = await apiOf(appliance, made.state);
  const lakes = (await post(ada, "/api/companies", { name: "Lakes Ltd" })).id;
  const { token } = await post(ada, `/api/companies/${lakes}/invitations`, { email: VERA.email, role: "member" });
  await ada.dispose();
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  await page.goto(`${appliance.url}/invitation#${token}`);
  await expect(page.getByRole("heading", { name: "Join Lakes Ltd" })).toBeVisible();
  await sound(page, "invitation of an account");
  await page.getByLabel("Password of your account").fill("not the password");
  await page.getByRole("button", { name: "Join Lakes Ltd" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await page.getByLabel("Password of your account").fill(NEW_PASSWORD);
  await page.getByRole("button", { name: "Join Lakes Ltd" }).click();
  await expect(page.getByRole("heading", { name: "Hello, Vera" })).toBeVisible();
  expect(page.url()).toContain(lakes);
  await page.goto(`${appliance.url}/c/${made.company}`);
  await expect(page.getByRole("heading", { name: "Hello, Vera" })).toBeVisible();
  await page.goto(`${appliance.url}/invitation#${token}`);
  await expect(page.getByRole("alert")).toContainText("already accepted");
  faults.check();
  await context.close();
});

test("the audit log names people, is filtered and exported", async ({ browser }) => {
  const api = await apiOf(appliance, made.state);
  const members = (await get(api, `/api/companies/${made.company}/members`)).members as { name: string; user_id: string }[];
  const vera = members.find((member) => member.name === VERA.name)?.user_id;
  expect((await api.patch(`/api/companies/${made.company}/members/${vera}`, { data: { role: "admin" } })).ok()).toBe(true);
  await api.post("/api/auth/login", { data: { email: VERA.email, password: "not the password" } });
  await api.dispose();
  const context = await signedIn(browser, made);
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  await page.goto(`${appliance.url}/appliance/audit`);
  await page.getByLabel("Only acts whose name begins with").fill("member.role");
  const rows = page.getByRole("table").getByRole("row");
  await expect(rows.nth(1)).toContainText("Ada Byron");
  await expect(rows.nth(1)).toContainText("Vera Rubin");
  await rows.nth(1).getByRole("button").click();
  await expect(page.locator("pre")).toContainText(/Vera Rubin \(usr_\w+\)/);
  await sound(page, "audit");
  await page.getByLabel("Only acts whose name begins with").fill("");
  await page.getByLabel("Only acts by").fill("vera@rivers");
  await expect(page.getByRole("table")).toContainText("Vera Rubin");
  await expect(page.getByRole("cell", { name: "Ada Byron" })).toHaveCount(0);
  await page.getByLabel("Only acts by").fill("");
  await page.getByRole("group", { name: "Outcome" }).getByText("Refused").click();
  await expect(page.getByRole("cell", { name: "Done" })).toHaveCount(0);
  await expect(page.getByRole("table")).toContainText("auth.login");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()]);
  const lines = readFileSync(await download.path(), "utf8").trim().split("\n");
  expect(download.suggestedFilename()).toMatch(/^onsite-audit-\d+\.jsonl$/);
  expect(JSON.parse(lines.at(-1) ?? "")).toHaveProperty("checkpoint");
  expect(lines.length).toBeGreaterThan(10);
  faults.check();
  await context.close();
});
