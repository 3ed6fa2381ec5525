// The first day of an appliance, by hand, over TLS with the certificate it made itself: from the bootstrap token to an answer with its source.
import { expect, test } from "@playwright/test";
import { Appliance, rivers, watch, type Site } from "./appliance.ts";
import { ADA, developmentLicence, QUESTION, sound } from "./steps.ts";

const licence = developmentLicence();
let appliance: Appliance;
let site: Site;

test.beforeAll(async () => {
  site = await rivers("/danube");
  appliance = await Appliance.start({ LICENSE_PUBLIC_KEY_PEM: licence.publicKey });
});

test.afterAll(async () => {
  site.stop();
  await appliance.stop();
});

test("from the bootstrap token to a cited answer", async ({ page }) => {
  const faults = watch(page, appliance.url);
  await page.goto(appliance.url);

  await test.step("the token, after a look at the certificate", async () => {
    await expect(page.getByRole("heading", { name: "Is this your server?" })).toBeVisible();
    await expect(page.locator(".fingerprint code")).toHaveText(/^([0-9A-F]{2}:?){32}$/i);
    await sound(page, "setup 1 token");
    await page.getByLabel("Setup token").fill("AAAA.BBBB");
    await page.getByRole("button", { name: "Yes, continue" }).click();
    await expect(page.getByText("This is not the bootstrap token")).toBeVisible();
    await expect(page.getByText("9 attempts left")).toBeVisible();
    await sound(page, "setup 1 refused");
    await page.getByLabel("Setup token").fill(appliance.token);
    await page.getByRole("button", { name: "Yes, continue" }).click();
  });

  await test.step("the account", async () => {
    await expect(page.getByRole("heading", { name: "Who are you?" })).toBeVisible();
    await sound(page, "setup 2 you");
    await page.getByLabel("Name", { exact: true }).fill(ADA.name);
    await page.getByLabel("E-mail").fill(ADA.email);
    await page.getByLabel("Password", { exact: true }).fill(ADA.password);
    await page.getByRole("button", { name: "Create the account" }).click();
    await expect(page.getByRole("heading", { name: "Activate" })).toBeVisible();
  });

  await test.step("activation, where a reload goes on", async () => {
    await page.reload();
    await expect(page.getByRole("heading", { name: "Activate" })).toBeVisible();
    await sound(page, "setup 3 activation");
    await page.getByLabel("Activation code").fill(licence.code.replace("ONSITE1", "ONSITE2"));
    await page.getByRole("button", { name: "Activate", exact: true }).click();
    await expect(page.getByText("This code was not accepted")).toBeVisible();
    await page.getByLabel("Activation code").fill(licence.code);
    await page.getByRole("button", { name: "Activate", exact: true }).click();
    await expect(page.getByText("Business for")).toBeVisible();
    await sound(page, "setup 3 activated");
    await page.getByRole("button", { name: "Continue" }).click();
  });

  await test.step("the company and its first automation, whose site must be allowed", async () => {
    await expect(page.getByLabel("Company")).toHaveValue("Rivers Ltd");
    await page.getByLabel("Website to watch").fill(site.url);
    await page.getByLabel("What do you want to know?").fill("How long are the rivers?");
    await page.getByRole("button", { name: "Create and run" }).click();
    await expect(page.getByRole("alert")).toContainText("127.0.0.1");
    await sound(page, "setup 4 allow");
    const reason = page.getByLabel("Reason");
    await expect(reason).toHaveValue("Source of the automation “127.0.0.1”");
    await reason.fill("Our own river survey");
    await page.getByRole("button", { name: "Allow 127.0.0.1" }).click();
  });

  await test.step("the run as it happens", async () => {
    const live = page.getByRole("region", { name: "Run under way" });
    await expect(live).toBeVisible();
    await expect(live.getByRole("status")).toContainText("of at most");
    await expect(live.getByRole("button", { name: "Stop" })).toBeVisible();
    await sound(page, "run under way");
    site.release();
    await expect(live.getByRole("status")).toContainText("1 table");
    await page.getByRole("link", { name: "Open the report" }).first().click();
  });

  const drawer = page.getByRole("dialog", { name: "Evidence" });

  await test.step("the report and its evidence", async () => {
    await expect(page.getByRole("region", { name: "Findings" })).toContainText("The Danube is 2,850 km long");
    await expect(page.getByRole("region", { name: "Figures" }).getByRole("row", { name: /Danube/ })).toContainText("2,850 km");
    const table = page.getByRole("region", { name: "Longest rivers" });
    await expect(table.getByRole("row", { name: /Volga/ })).toContainText("3,530");
    await table.getByRole("searchbox").fill("danube");
    await expect(table.getByRole("row", { name: /Volga/ })).toHaveCount(0);
    await page.getByRole("button", { name: /evidence for: The Danube is/ }).click();
    await expect(drawer.locator("mark")).toHaveText("The Danube is 2,850 km long and flows into the Black Sea.");
    await expect(drawer.locator("blockquote")).toContainText("It passes through ten countries.");
    await expect(drawer).toContainText(/[0-9a-f]{64}/);
    await sound(page, "evidence");
    await page.keyboard.press("Escape");
    await expect(drawer).toBeHidden();
  });

  await test.step("a question, its answer and the source of the answer", async () => {
    // What a run found can be asked about once it is indexed, which goes on behind the report.
    const read = async (path: string) => (await page.request.get(new URL(path, page.url()).href)).json();
    const company = (await read("/api/me")).companies[0].id as string;
    await expect.poll(async () => (await read(`/api/companies/${company}/widgets`)).widgets[0].latest.ingest).toBe("done");
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Chat" }).click();
    await page.getByLabel("Question").fill(QUESTION);
    await page.keyboard.press("Enter");
    const answer = page.getByRole("article", { name: "Answer" });
    await expect(answer).toContainText("The Danube is 2,850 km long");
    await expect(answer.getByText("Quoted, not generated")).toBeVisible();
    await answer.getByRole("button", { name: /^Citation 1:/ }).first().click();
    await expect(drawer.locator("mark")).toContainText("The Danube is 2,850 km long");
    await page.keyboard.press("Escape");
    await expect(drawer).toBeHidden();
    await page.reload();
    await expect(answer).toContainText("The Danube is 2,850 km long");
    await expect(page.getByRole("article", { name: "Question" })).toHaveText(QUESTION);
    await sound(page, "answer");
  });

  await test.step("a new conversation begins empty, the one just made left behind", async () => {
    const made = async (question: string): Promise<void> => {
      await page.getByRole("link", { name: "New", exact: true }).click();
      await expect(page.getByRole("article")).toHaveCount(0);
      await page.getByLabel("Question").fill(question);
      await page.keyboard.press("Enter");
      await expect(page.getByRole("article", { name: "Question" })).toHaveText(question);
      await expect(page.getByRole("article", { name: "Answer" })).toBeVisible();
    };
    await made("How long is the Volga?");
    const first = page.url();
    await made("Where does the Danube end?");
    expect(page.url()).not.toBe(first);
  });

  faults.check();
});
