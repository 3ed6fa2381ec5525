// What several journeys do: checks of a page, and an appliance with a report and an answer in it.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import { expect, request, test, type APIRequestContext, type Browser, type BrowserContext, type Page } from "@playwright/test";
import { Appliance, rivers, type Site } from "./appliance.ts";

export const ADA = { email: "ada@rivers.example", name: "Ada Byron", password: "correct horse battery staple" };
export const VERA = { email: "vera@rivers.example", name: "Vera Rubin", password: "galaxies turn too quickly at the rim" };
export const QUESTION = "How long is the Danube?";

/** What fades or slides in is looked at when it is there. What goes on for ever, such as a pulse, is not waited for. */
async function still(page: Page): Promise<void> {
  await page.evaluate(() => {
    const ending = document.getAnimations().filter((animation) => animation.effect?.getComputedTiming().endTime !== Infinity);
    return Promise.allSettled(ending.map((animation) => animation.finished));
  });
}

/** No violation of any accessibility rule (or of the one named), on the page as it is now. */
export async function accessible(page: Page, only?: string): Promise<void> {
  await still(page);
  // legacy mode is the one without frames, of which there are none
  const axe = new AxeBuilder({ page }).setLegacyMode();
  const { violations } = await (only ? axe.withRules(only) : axe).analyze();
  expect(violations.map((each) => `${each.id}: ${each.nodes.map((node) => `${node.html} ${node.failureSummary}`).join(" | ")}`)).toEqual([]);
}

/** Nothing is wider than the window, and where there is a shell only its parts scroll: one scroll bar, not two. */
export async function fits(page: Page): Promise<void> {
  const tooWide = await page.evaluate(() =>
    [document.documentElement, ...document.querySelectorAll("main")]
      .filter((element) => element.scrollWidth > element.clientWidth)
      .map((element) => `${element.tagName} ${element.scrollWidth} > ${element.clientWidth} at ${location.pathname}`)
      .concat(document.querySelector(".shell") && document.documentElement.scrollHeight > innerHeight ? [`a second scroll bar at ${location.pathname}`] : []),
  );
  expect(tooWide).toEqual([]);
}

/** Keeps a picture of the page where `ONSITE_SHOTS` names a folder, for people to look at. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.ONSITE_SHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name.replace(/\W+/g, "-")}.png`) });
}

/** What `accessible` and `fits` ask, in light and dark, wide and on a telephone. */
export async function sound(page: Page, name: string): Promise<void> {
  await accessible(page);
  await fits(page);
  await picture(page, `light ${name}`);
  await page.emulateMedia({ colorScheme: "dark" });
  await accessible(page, "color-contrast");
  await picture(page, `dark ${name}`);
  await page.emulateMedia({ colorScheme: "light" });
  const wide = page.viewportSize();
  await page.setViewportSize({ width: 390, height: 844 });
  await still(page);
  await fits(page);
  await picture(page, `390 ${name}`);
  if (wide) await page.setViewportSize(wide);
}

/** A page is there once it has its heading and nothing in it is still loading. */
export async function settled(page: Page): Promise<void> {
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
}

/** A development licence: the code, and the public key that the appliance must be started with. */
export function developmentLicence(): { code: string; publicKey: string } {
  const onsite = process.env.ONSITE_BINARY ?? "";
  const folder = mkdtempSync(join(tmpdir(), "onsite-licence-"));
  const run = (...words: string[]): string => execFileSync(onsite, ["license", ...words], { encoding: "utf8" });
  run("keygen", "--out", folder, "--unencrypted");
  const code = run("issue", "--key", join(folder, "license-private-key.pem"), "--customer", "rivers", "--company", "Rivers Ltd", "--plan", "business", "--development");
  const publicKey = readFileSync(join(folder, "license-public-key.pem"), "utf8");
  rmSync(folder, { recursive: true, force: true });
  return { code: code.trim(), publicKey };
}

export async function post(api: APIRequestContext, path: string, data: object = {}): Promise<{ id: string; token: string; run: { id: string } }> {
  const response = await api.post(path, { data });
  expect(response.ok(), `${path}: ${await response.text()}`).toBe(true);
  return await response.json();
}

export async function get(api: APIRequestContext, path: string): Promise<Record<string, unknown>> {
  return (await (await api.get(path)).json()) as Record<string, unknown>;
}

/** The API as somebody, or nobody, uses it beside the browser. */
export function apiOf(appliance: Appliance, state?: Prepared["state"]): Promise<APIRequestContext> {
  return request.newContext({ baseURL: appliance.url, ignoreHTTPSErrors: true, storageState: state, extraHTTPHeaders: { "sec-fetch-site": "same-origin" } });
}

/** Invites somebody into a company and takes the invitation up with a new account. */
export async function joined(appliance: Appliance, made: Prepared, person: typeof VERA, role: string): Promise<Prepared["state"]> {
  const ada = await apiOf(appliance, made.state);
  const { token } = await post(ada, `/api/companies/${made.company}/invitations`, { email: person.email, role });
  const theirs = await apiOf(appliance);
  await post(theirs, "/api/invitations/accept-as-new", { token, name: person.name, password: person.password });
  const state = await theirs.storageState();
  await Promise.all([ada.dispose(), theirs.dispose()]);
  return state;
}

/** Runs the automation once more, to the end of its ingest. */
export async function runAgain(appliance: Appliance, made: Prepared): Promise<string> {
  const api = await apiOf(appliance, made.state);
  const home = `/api/companies/${made.company}`;
  const { id } = await post(api, `${home}/widgets/${made.widget}/runs`);
  await expect.poll(async () => (await get(api, `${home}/runs/${id}`)).ingest, { timeout: 20_000 }).toBe("done");
  await api.dispose();
  return id;
}

/** Makes Ada the first admin over the API, and whatever else is posted. */
export async function admin(appliance: Appliance, made: Record<string, object> = {}): Promise<void> {
  const api = await request.newContext({ baseURL: appliance.url, ignoreHTTPSErrors: true, extraHTTPHeaders: { "sec-fetch-site": "same-origin" } });
  const post = async (path: string, data: object): Promise<void> => {
    const answer = await api.post(path, { data });
    expect(answer.ok(), `${path}: ${await answer.text()}`).toBe(true);
  };
  await post("/api/setup/redeem", { token: appliance.token, ...ADA });
  for (const [path, data] of Object.entries(made)) await post(path, data);
  await api.dispose();
}

/** Fills in the first step of signing in. */
export async function password(page: Page, who: { email: string; password: string }): Promise<void> {
  await page.getByLabel("E-mail").fill(who.email);
  await page.getByLabel("Password").fill(who.password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export interface Prepared {
  company: string;
  widget: string;
  run: string;
  report: string;
  conversation: string;
  /** Signed in as Ada. */
  state: Awaited<ReturnType<APIRequestContext["storageState"]>>;
}

/** Sets an appliance up over its API: an admin, a company, an automation over `site` with its report, a document, and an answer. */
export async function prepare(appliance: Appliance, site: string): Promise<Prepared> {
  const api = await apiOf(appliance);
  await post(api, "/api/setup/redeem", { token: appliance.token, ...ADA });
  const company = (await post(api, "/api/companies", { name: "Rivers Ltd" })).id;
  const home = `/api/companies/${company}`;
  await post(api, "/api/system-admin/egress/rules", { destination: new URL(site).hostname, reason: "The site of the journeys" });
  const widget = await post(api, `${home}/widgets`, {
    title: "Rivers of Europe",
    objective: "How long are the rivers?",
    source_config: { source_class: "internal_web", urls: [site] },
  });
  const run = await post(api, `${home}/widgets/${widget.id}/runs`);
  await expect.poll(async () => (await get(api, `${home}/runs/${run.id}`)).ingest, { timeout: 20_000 }).toBe("done");
  const report = String((await get(api, `${home}/runs/${run.id}`)).report_id);
  await api.post(`${home}/documents`, { multipart: { file: { name: "lakes.md", mimeType: "text/markdown", buffer: Buffer.from("# Lakes\n\nLake Constance covers 536 km².\n") } } });
  const conversation = (await post(api, `${home}/conversations`, { title: QUESTION })).id;
  const asked = await post(api, `${home}/conversations/${conversation}/messages`, { text: QUESTION });
  await expect.poll(async () => (await get(api, `${home}/chat-runs/${asked.run.id}`)).state, { timeout: 20_000 }).toBe("succeeded");
  const state = await api.storageState();
  await api.dispose();
  return { company, widget: widget.id, run: run.id, report, conversation, state };
}

/** Gives the journeys of a file one appliance that is set up over one site, and takes both away after the last. `begin` comes before the first. */
export function livedIn(begin: (world: { appliance: Appliance; site: Site; made: Prepared }) => void | Promise<void>): void {
  let end = async (): Promise<void> => undefined;
  test.beforeAll(async () => {
    const [site, appliance] = [await rivers(), await Appliance.start()];
    end = async () => {
      site.stop();
      await appliance.stop();
    };
    await begin({ appliance, site, made: await prepare(appliance, site.url) });
  });
  test.afterAll(() => end());
}

/** A browser where Ada is signed in, or whoever's state is given. */
export function signedIn(browser: Browser, prepared: Pick<Prepared, "state">, look: Parameters<Browser["newContext"]>[0] = {}): Promise<BrowserContext> {
  return browser.newContext({ ignoreHTTPSErrors: true, storageState: prepared.state, ...look });
}
