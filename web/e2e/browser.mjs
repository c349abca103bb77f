// A browser whose every complaint counts: console errors, page errors and refused content fail the test.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
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
      // A page that is not from the network itself may not open sockets on loopback.
      ...(process.env.WEB_DIST ? ["--disable-features=LocalNetworkAccessChecks"] : []),
    ],
  });
}

/**
 * `WEB_DIST` names a built folder to try instead of the one inside the program. The program still answers for the
 * headers, the content policy among them.
 */
async function serveOtherBuild(context, folder) {
  const TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
  };
  const ours = (url) => /^\/(?:$|index\.html|assets\/|favicon|theme)/u.test(url.pathname);
  await context.route(ours, async (route) => {
    const { origin, pathname } = new URL(route.request().url());
    const file = pathname === "/" ? "/index.html" : pathname;
    const { headers } = await fetch(`${origin}/`);
    const kept = Object.fromEntries(
      [...headers].filter(
        ([name]) => !/^(?:content-(?:encoding|length|type)|etag|cache-control)$/u.test(name),
      ),
    );
    await route.fulfill({
      body: readFileSync(join(folder, file)),
      headers: { ...kept, "content-type": TYPES[extname(file)] ?? "application/octet-stream" },
    });
  });
}

/** `complaints` fills as the page is used; `quietly` runs work whose complaints are expected. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  if (process.env.WEB_DIST) await serveOtherBuild(context, process.env.WEB_DIST);
  const page = await context.newPage();
  const complaints = [];
  let quiet = false;
  const add = (text) => {
    if (!quiet) complaints.push(text);
  };
  page.on("console", (message) => {
    const { url } = message.location();
    // A browser asks for this by itself where a page names no icon.
    if (message.type() !== "error" || url.endsWith("/favicon.ico")) return;
    add(`console: ${message.text()} ${url}`.trim());
  });
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

/** Waits until nothing is on its way any more: no answer, no placeholder for one, and no change of colours. */
export async function settled(page) {
  await page.waitForLoadState("networkidle");
  await page.waitForFunction(
    () =>
      [...document.querySelectorAll(".skeleton")].every((each) => !each.checkVisibility()) &&
      document
        .getAnimations()
        .every(
          ({ playState, effect }) => playState !== "running" || effect.getTiming().iterations === Infinity,
        ),
  );
}

/** What axe finds, in one line each. */
export async function violations(page) {
  await page.evaluate(AXE);
  return page.evaluate(async (rules) => {
    const { violations: found } = await globalThis.axe.run(document, { runOnly: rules });
    return found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
  }, RULES);
}

/** Reads a conversation from its end back to its beginning, as people do, and looks at every stop. */
export async function readBack(page, look) {
  const scroller = page.getByRole("region", { name: "Messages" });
  const earlier = scroller.getByRole("button", { name: /^Show earlier/ });
  for (;;) {
    await look();
    if ((await earlier.count()) === 0) return;
    const hidden = await earlier.textContent();
    await scroller.evaluate((node) => node.scrollTo({ top: -node.scrollHeight }));
    await page.waitForFunction((text) => {
      const button = document.querySelector("main button.older");
      return button === null || button.textContent !== text;
    }, hidden);
  }
}

/** A session's tabs scroll within the page: it is never higher than the window. */
export function fitsWindow(page) {
  return page.evaluate(() => document.scrollingElement.scrollHeight <= innerHeight);
}

export function scrollsSideways(page) {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}
