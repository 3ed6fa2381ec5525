import { defineConfig } from "@playwright/test";

// Debian's Chromium, told to keep its own business off the network.
const browser = process.env.ONSITE_CHROMIUM ?? "/usr/bin/chromium";
const quiet = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export default defineConfig({
  testDir: ".",
  outputDir: "out",
  timeout: 120_000,
  expect: { timeout: 20_000 },
  workers: 1,
  reporter: [["list"]],
  use: { launchOptions: { executablePath: browser, args: quiet }, ignoreHTTPSErrors: true, trace: "off" },
});
