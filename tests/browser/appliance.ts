// The real binary on a free port with a data folder of its own, and a page that must stay clean.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, type Page } from "@playwright/test";

const binary = process.env.ONSITE_BINARY ?? "";

export class Appliance {
  private constructor(
    readonly url: string,
    readonly folder: string,
    private readonly child: ChildProcess,
  ) {}

  /** Starts `onsite serve` over TLS, as an operator would, and waits for its first line. */
  static async start(environment: Record<string, string> = {}, port = 0): Promise<Appliance> {
    const folder = mkdtempSync(join(tmpdir(), "onsite-browser-"));
    const child = spawn(binary, ["serve", "--listen", `127.0.0.1:${port}`, "--data-dir", folder], {
      env: { AUTOMATION_VECTORSTORE_ENABLED: "1", ...environment },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const first = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout! }).once("line", resolve);
      child.once("exit", (code) => reject(new Error(`onsite ended with ${code} before it listened`)));
    });
    return new Appliance(first.replace("listening on ", "").trim(), folder, child);
  }

  get token(): string {
    return readFileSync(join(this.folder, "bootstrap-token"), "utf8").trim();
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A port that is free now, for an address that must be known before the start. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Fails the test on a console error, a policy violation, or a request to another origin but the one that people are sent to on purpose. */
export function watch(page: Page, origin: string, also = origin): { check: () => void } {
  const faults: string[] = [];
  page.on("console", (message) => {
    // A refusal that a journey provokes is shown on the page; asking what cannot be there, or who is in where nobody is, is a fault.
    const unasked = ["/api/setup", "/api/session", "/api/me", "/api/status"].some((path) => message.location().url.endsWith(path));
    const refusal = /status of 4\d\d/.test(message.text()) && !unasked;
    if (message.type() === "error" && !refusal) faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`exception: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !url.startsWith(also) && !url.startsWith("data:") && !url.startsWith("blob:")) faults.push(`request to ${url}`);
  });
  return { check: () => expect(faults).toEqual([]) };
}

export interface Site {
  url: string;
  /** Lets the page that was held back be answered. */
  release: () => void;
  /** Puts other text where a page has this one. */
  rewrite: (path: string, text: string, by: string) => void;
  stop: () => void;
}

/** A small website on loopback: three pages about rivers. The page at `held` is answered only after `release`. */
export async function rivers(held?: string): Promise<Site> {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const page = (title: string, body: string) =>
    `<!doctype html><html lang="en"><head><title>${title}</title></head><body><main><h1>${title}</h1>${body}</main></body></html>`;
  const pages: Record<string, string> = {
    "/": page("Rivers", '<p>The Rhine is 1,233 km long and flows into the North Sea.</p><p><a href="/danube">Danube</a> <a href="/table">Table</a></p>'),
    "/danube": page("The Danube", "<p>The Danube is 2,850 km long and flows into the Black Sea. It passes through ten countries.</p>"),
    "/table": page(
      "Rivers of Europe",
      "<table><caption>Longest rivers</caption><tr><th>River</th><th>Length (km)</th></tr><tr><td>Volga</td><td>3,530</td></tr><tr><td>Danube</td><td>2,850</td></tr></table>",
    ),
  };
  const server: Server = createServer(async (request, response) => {
    if (held !== undefined && request.url === held) await released;
    const body = pages[request.url ?? "/"];
    response.writeHead(body ? 200 : 404, { "content-type": "text/html; charset=utf-8" }).end(body ?? "");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { url: `http://127.0.0.1:${address.port}/`, release, rewrite: (path, text, by) => (pages[path] = (pages[path] ?? "").replace(text, by)), stop: () => server.close() };
}
