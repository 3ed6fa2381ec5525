// Every page with something on it: accessible, light and dark, wide and narrow, and quiet.
import { expect, test } from "@playwright/test";
import { Appliance, rivers, watch, type Site } from "./appliance.ts";
import { accessible, ADA, fits, picture, prepare, settled, signedIn, sound, type Prepared } from "./steps.ts";

let appliance: Appliance;
let site: Site;
let made: Prepared;

test.beforeAll(async () => {
  site = await rivers();
  appliance = await Appliance.start();
  made = await prepare(appliance, site.url);
});

test.afterAll(async () => {
  site.stop();
  await appliance.stop();
});

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
  health: "/appliance",
  licence: "/appliance/licence",
  egress: "/appliance/egress",
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

  await page.keyboard.press("Control+k");
  await page.keyboard.type("sign out");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
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
