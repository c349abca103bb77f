// A browser whose every complaint counts: console errors, page errors and refused content fail the test.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export function launchBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** `complaints` fills as the page is used; `quietly` runs work whose complaints are expected. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  let quiet = false;
  const add = (text) => {
    if (!quiet) complaints.push(text);
  };
  page.on("console", (message) => message.type() === "error" && add(`console: ${message.text()}`));
  page.on("pageerror", (error) => add(`error: ${error.message}`));
  await page.exposeFunction("__refused", (text) => add(`content policy: ${text}`));
  await page.addInitScript(() =>
    document.addEventListener("securitypolicyviolation", (event) =>
      globalThis.__refused(
        `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
      ),
    ),
  );
  const quietly = async (work) => {
    quiet = true;
    try {
      return await work();
    } finally {
      await page.waitForTimeout(50);
      quiet = false;
    }
  };
  return { context, page, complaints, quietly };
}

/** What axe finds, in one line each. */
export async function violations(page) {
  await page.evaluate(AXE);
  return page.evaluate(async (rules) => {
    const { violations: found } = await globalThis.axe.run(document, { runOnly: rules });
    return found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
  }, RULES);
}

export function scrollsSideways(page) {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}
