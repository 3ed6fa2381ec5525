// What changes after the first look: figures between two runs, a run that is still being indexed, a conversation that grows.
import { expect, test } from "@playwright/test";
import { watch, type Appliance, type Site } from "./appliance.ts";
import { apiOf, get, post, livedIn, runAgain, settled, signedIn, sound, type Prepared } from "./steps.ts";

let appliance: Appliance;
let site: Site;
let made: Prepared;

livedIn((world) => void ({ appliance, site, made } = world));

test("Home names a figure that changed, also one that the tile does not show", async ({ browser }) => {
  const context = await signedIn(browser, made);
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  const main = page.getByRole("navigation", { name: "Main" });
  await page.goto(`${appliance.url}/c/${made.company}`);
  await expect(page.getByRole("heading", { name: "What changed" })).toBeVisible();
  await main.getByRole("link", { name: "Documents" }).click();
  await settled(page);

  await runAgain(appliance, made);
  await main.getByRole("link", { name: "Home" }).click();
  await expect(page.getByRole("heading", { name: "Nothing changed since you last looked" })).toBeVisible();
  await main.getByRole("link", { name: "Documents" }).click();
  await settled(page);

  const api = await apiOf(appliance, made.state);
  const { latest } = (await get(api, `/api/companies/${made.company}/widgets/${made.widget}`)) as { latest: { headline: { name: string } } };
  const other = latest.headline.name.startsWith("Volga") ? { from: "2,850", to: "2,860" } : { from: "3,530", to: "3,540" };
  for (const path of ["/danube", "/table"]) site.rewrite(path, other.from, other.to);
  await runAgain(appliance, made);
  // and once more as it was in between: what counts is the last look, not the last run
  await runAgain(appliance, made);
  await main.getByRole("link", { name: "Home" }).click();
  await expect(page.getByRole("heading", { name: "What changed" })).toBeVisible();
  await expect(page.getByRole("list", { name: /^What changed in/ })).toContainText(`${other.from}\u00a0km → ${other.to}\u00a0km`);
  await sound(page, "home changed");
  await api.dispose();
  faults.check();
  await context.close();
});

test("a run that is still being indexed is followed, and says when the server shows no more of it", async ({ browser }) => {
  const context = await signedIn(browser, made);
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  const run = new RegExp(`/runs/${made.run}$`);
  // as it was a moment after it reported, when its passages were not yet in recall; and with something left out
  const early = async (times: number): Promise<void> =>
    page.route((url) => run.test(url.pathname) && url.pathname.startsWith("/api/"), async (route) => {
      const answer = await route.fetch();
      const notice = { code: "passages_left_out", message: "12 passages were left out.", remedy: "Collect less." };
      await route.fulfill({ response: answer, json: { ...(await answer.json()), ingest: "running", chunks: 0, notice } });
    }, { times });
  await early(1);
  await page.goto(`${appliance.url}/c/${made.company}/runs/${made.run}`);
  await expect(page.locator("dl div", { hasText: "Passages indexed" }).locator("dd")).not.toHaveText("0");

  await early(2);
  await page.route(`**/runs/${made.run}/events`, (route) =>
    route.fulfill({ contentType: "text/event-stream", body: 'event: closed\ndata: {"error":{"code":"closed","message":"The session ended."}}\n\n' }),
  );
  await page.goto(`${appliance.url}/c/${made.company}/runs/${made.run}`);
  await expect(page.getByText("This run is no longer shown live")).toBeVisible();
  await expect(page.getByText("12 passages were left out.")).toBeVisible();
  await sound(page, "run closed");
  await page.unrouteAll();
  await early(1);
  await page.goto(`${appliance.url}/c/${made.company}/reports/${made.report}`);
  await expect(page.getByText("12 passages were left out.")).toBeVisible();
  faults.check();
  await context.close();
});

test("a long conversation has one scroll bar, and its sources name their pages", async ({ browser }) => {
  const api = await apiOf(appliance, made.state);
  const home = `/api/companies/${made.company}`;
  for (const question of ["How long is the Rhine?", "How long is the Volga?", "Which sea does the Danube flow into?"]) {
    const { run } = await post(api, `${home}/conversations/${made.conversation}/messages`, { text: question });
    await expect.poll(async () => (await get(api, `${home}/chat-runs/${run.id}`)).state, { timeout: 20_000 }).toBe("succeeded");
  }
  await api.dispose();
  const context = await signedIn(browser, made, { viewport: { width: 1280, height: 480 } });
  const page = await context.newPage();
  const faults = watch(page, appliance.url);
  await page.goto(`${appliance.url}/c/${made.company}/chat/${made.conversation}`);
  await expect(page.getByRole("article", { name: "Answer" })).toHaveCount(4);
  await expect(page.getByRole("list", { name: "Sources" }).first()).toContainText("The Danube/danube127.0.0.1");
  const scrolling = await page.evaluate(() =>
    [document.documentElement, ...document.querySelectorAll("main, main *")]
      .filter((each) => each.scrollHeight > each.clientHeight + 1 && (each === document.documentElement || /auto|scroll/.test(getComputedStyle(each).overflowY)))
      .map((each) => `${each.tagName}.${each.className}`),
  );
  expect(scrolling).toHaveLength(1);
  faults.check();
  await context.close();
});
