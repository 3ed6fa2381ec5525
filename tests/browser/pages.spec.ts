// Every page with something on it: accessible, light and dark, wide and narrow, and quiet.
import { expect, test } from "@playwright/test";
import { watch, type Appliance } from "./appliance.ts";
import { accessible, ADA, fits, picture, livedIn, settled, signedIn, sound, VERA, type Prepared } from "./steps.ts";

let appliance: Appliance;
let made: Prepared;

livedIn((world) => void ({ appliance, made } = world));

const places = (): Record<string, string> => ({
  home: `/c/${made.company}`,
  chat: `/c/${made.company}/chat`,
  conversation: `/c/${made.company}/chat/${made.conversation}`,
  automations: `/c/${made.company}/automations`,
  "new automation": `/c/${made.company}/automations/new`,
  automation: `/c/${made.company}/automations/${made.widget}`,
  "automation's form": `/c/${made.company}/automations/${made.widget}/edit`,
  run: `/c/${made.company}/runs/${made.run}`,
  report: `/c/${made.company}/reports/${made.report}`,
  documents: `/c/${made.company}/documents`,
  usage: `/c/${made.company}/usage`,
  members: `/c/${made.company}/members`,
  keys: `/c/${made.company}/keys`,
  company: `/c/${made.company}/settings`,
  account: "/account",
  health: "/appliance",
  licence: "/appliance/licence",
  users: "/appliance/users",
  egress: "/appliance/egress",
  mail: "/appliance/mail",
  audit: "/appliance/audit",
  settings: "/appliance/settings",
  nowhere: "/nowhere",
});

// What holds in light and could fail in dark is the contrast.
for (const { colorScheme, rule } of [{ colorScheme: "light", rule: undefined }, { colorScheme: "dark", rule: "color-contrast" }] as const) {
  test(`every page is accessible in ${colorScheme}, and nothing sticks out`, async ({ browser }) => {
    const context = await signedIn(browser, made, { colorScheme, viewport: { width: 1280, height: 800 } });
    const page = await context.newPage();
    const faults = watch(page, appliance.url);
    for (const [name, path] of Object.entries(places())) {
      await test.step(name, async () => {
        await page.goto(appliance.url + path);
        await (name === "nowhere" ? expect(page.getByText("Nothing lives at this address")).toBeVisible() : settled(page));
        await accessible(page, rule);
        await fits(page);
        await picture(page, `${colorScheme} ${name}`);
      });
    }
    await test.step("the drawer", async () => {
      await page.goto(`${appliance.url}/c/${made.company}/reports/${made.report}`);
      await page.getByRole("button", { name: /evidence for/ }).first().click();
      await expect(page.getByRole("dialog", { name: "Evidence" }).locator("mark")).toBeVisible();
      await accessible(page, rule);
      await picture(page, `${colorScheme} drawer`);
    });
    faults.check();
    await context.close();
  });
}

test("every page fits a telephone", async ({ browser }) => {
  const context = await signedIn(browser, made, { viewport: { width: 390, height: 844 } });
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  for (const [name, path] of Object.entries(places())) {
    await test.step(name, async () => {
      await page.goto(appliance.url + path);
      await (name === "nowhere" ? expect(page.getByText("Nothing lives at this address")).toBeVisible() : settled(page));
      await fits(page);
      await picture(page, `390 ${name}`);
    });
  }
  await test.step("the menu", async () => {
    await page.getByRole("button", { name: "Menu" }).click();
    await expect(page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Licence" })).toBeVisible();
    await fits(page);
    await accessible(page);
  });
  faults.check();
  await context.close();
});

test("a viewer is invited, joins, reads, and sees no button that would be refused", async ({ browser }) => {
  const context = await signedIn(browser, made);
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  let link = "";

  await test.step("the invitation, whose link is shown once", async () => {
    await page.goto(`${appliance.url}/c/${made.company}/members`);
    await page.getByLabel("E-mail").fill(VERA.email);
    await page.getByLabel("Role", { exact: true }).selectOption("viewer");
    await page.getByRole("button", { name: "Make an invitation" }).click();
    link = await page.getByRole("dialog").getByLabel("Link").inputValue();
    await sound(page, "invitation link");
    await page.getByRole("button", { name: "Done" }).click();
    await expect(page.getByRole("region", { name: "Invitations" }).getByRole("row", { name: VERA.email })).toContainText("Open");
    await sound(page, "members invited");
  });
  await context.close();

  const hers = await browser.newContext({ ignoreHTTPSErrors: true });
  const view = await hers.newPage();
  const herFaults = watch(view, appliance.url);

  await test.step("she takes it up", async () => {
    await view.goto(link);
    await expect(view.getByRole("heading", { name: "Join Rivers Ltd" })).toBeVisible();
    expect(view.url()).not.toContain("#");
    await sound(view, "invitation");
    await view.getByLabel("Name").fill(VERA.name);
    await view.getByLabel("Password", { exact: true }).fill(VERA.password);
    await view.getByRole("button", { name: "Join Rivers Ltd" }).click();
    await expect(view.getByRole("heading", { name: "Hello, Vera" })).toBeVisible();
    await view.goto(link);
    await expect(view.getByRole("alert")).toContainText("accepted");
  });

  await test.step("she reads", async () => {
    const refused = /New automation|Run now|Edit|Choose files|More for lakes|Make an invitation|^Ask$|^New$|Health|Settings/;
    for (const path of ["", "/chat", "/automations", `/automations/${made.widget}`, "/documents", "/members", `/reports/${made.report}`]) {
      await view.goto(`${appliance.url}/c/${made.company}${path}`);
      await settled(view);
      await expect(view.getByRole("button", { name: refused })).toHaveCount(0);
      await expect(view.getByRole("link", { name: refused })).toHaveCount(0);
    }
    await view.goto(`${appliance.url}/c/${made.company}/automations/new`);
    await expect(view.getByText("Ask one of its admins")).toBeVisible();
    await accessible(view);
    await view.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Documents" }).click();
    await expect(view.getByRole("link", { name: "lakes.md" })).toBeVisible();
  });
  faults.check();
  herFaults.check();
  await hers.close();
});

test("a key is made for a program, shown once, and ended", async ({ browser }) => {
  const context = await signedIn(browser, made);
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  await page.goto(`${appliance.url}/c/${made.company}/keys`);
  await page.getByRole("textbox", { name: "Name" }).fill("Nightly export");
  await page.getByLabel(/Search what was collected/).check();
  await page.getByRole("button", { name: "Make the key" }).click();
  const key = await page.getByRole("dialog").getByLabel("Key", { exact: true }).inputValue();
  expect(key).toMatch(/^onsk_\w{52}$/);
  await sound(page, "key shown once");
  await page.getByRole("button", { name: "Done" }).click();
  const row = page.getByRole("region", { name: "Keys", exact: true }).getByRole("row", { name: /Nightly export/ });
  await expect(row).toContainText("Active");
  expect(await page.content()).not.toContain(key);

  const program = (path: string) =>
    context.request.get(`${appliance.url}/api/companies/${made.company}${path}`, { headers: { authorization: `Bearer ${key}` } });
  expect((await program("/widgets")).status()).toBe(200);
  expect((await program("/members")).status()).toBe(403);
  await page.reload();
  await expect(row).not.toContainText("never");
  await sound(page, "keys");
  await row.getByRole("button", { name: /End the key/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End key" }).click();
  await expect(row).toContainText("Revoked");
  expect((await program("/widgets")).status()).toBe(401);
  faults.check();
  await context.close();
});

test("an error says what, why, what next, and its request", async ({ browser }) => {
  const context = await signedIn(browser, made);
  const page = await context.newPage();
  await page.goto(`${appliance.url}/c/${made.company}/reports/rep_00000000000000000000000000`);
  const alert = page.getByRole("alert");
  await expect(alert).toContainText("This report could not be read");
  await expect(alert).toContainText(/req_\w+/);
  await expect(alert.getByRole("button", { name: "Try again" })).toBeVisible();
  await sound(page, "error");
  await context.close();
});

// Last, because it ends the session that the others use.
test("by keyboard: the palette goes somewhere, signs out, and one signs in again", async ({ browser }) => {
  const context = await signedIn(browser, made);
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  await page.goto(appliance.url);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();

  const palette = page.getByRole("dialog", { name: "Search and commands" });
  await page.keyboard.press("Control+k");
  await expect(palette.getByRole("option", { name: /Rivers of Europe/ }).first()).toBeVisible();
  await accessible(page);
  await page.keyboard.type("usage");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/usage$/);
  await expect(page.getByRole("heading", { level: 1, name: "Usage" })).toBeVisible();
  await expect(palette).toBeHidden();

  const marked = await page.getByText("Development build").count();
  await page.keyboard.press("Control+k");
  await page.keyboard.type("sign out");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await expect(page.getByText("Development build")).toHaveCount(marked);
  await sound(page, "sign in");

  await page.getByLabel("E-mail").focus();
  await page.keyboard.type(ADA.email);
  await page.keyboard.press("Tab");
  await page.keyboard.type("not the password");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert")).toBeVisible();
  await accessible(page);
  await page.getByLabel("Password").focus();
  await page.keyboard.type(ADA.password);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();
  faults.check();
  await context.close();
});
