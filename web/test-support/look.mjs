// Takes pictures of every page in every state, for a person to judge. Usage: node test-support/look.mjs [folder] [filter]
import { mkdir } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { fake, serveDist, signedIn } from "./fake.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = process.argv[2] ?? "test-results/looks";
const only = process.argv[3] ?? "";
await mkdir(folder, { recursive: true });
const dist = await serveDist();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
});
const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } };
const TABS = ["conversation", "health", "visualizations", "analysis", "settings"];
const problems = [];

/** What axe finds, and whether the page itself scrolls sideways. */
async function violations(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return result.violations.map(
      (each) =>
        `${each.id}: ${each.nodes
          .slice(0, 2)
          .map((node) => node.html.slice(0, 160) + " " + (node.any[0]?.message ?? ""))
          .join(" | ")}`,
    );
  });
  const wide = await page.evaluate(
    () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
  );
  return wide ? [...found, "scrolls sideways"] : found;
}

async function shot(name, { scheme, size, options, hash, out = false, before }) {
  const file = `${name}-${scheme}-${size}`;
  if (!file.includes(only)) return;
  const context = await browser.newContext({
    viewport: SIZES[size],
    colorScheme: scheme,
    deviceScaleFactor: size === "narrow" ? 2 : 1,
  });
  if (!out) await signedIn(context);
  const page = await context.newPage();
  page.on("console", (message) => {
    const expected = options?.fail || options?.expect;
    if (message.type() === "error" && !expected) problems.push(`${file}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${file}: ${error}`));
  const world = await fake(page, options);
  await page.goto(dist.url + hash(world.id));
  await page.waitForTimeout(900);
  await before?.(page);
  for (const found of await violations(page)) problems.push(`${file}: ${found}`);
  await page.screenshot({ path: `${folder}/${file}.png` });
  await context.close();
}

for (const scheme of ["dark", "light"]) {
  for (const size of ["wide", "narrow"]) {
    const base = { scheme, size };
    await shot("signin", { ...base, out: true, hash: () => "" });
    await shot("setup", { ...base, out: true, hash: () => "#setup=ABCD-EFGH" });
    await shot("sessions", { ...base, hash: () => "#/" });
    await shot("sessions-empty", { ...base, options: { sessions: [] }, hash: () => "#/" });
    for (const tab of TABS) await shot(tab, { ...base, hash: (id) => `#/s/${id}/${tab}` });
    for (const tab of TABS) {
      if (size === "narrow") {
        await shot(`${tab}-end`, {
          ...base,
          hash: (id) => `#/s/${id}/${tab}`,
          before: (page) =>
            page
              .evaluate(() => document.querySelector("main").scrollTo(0, 1e6))
              .then(() => page.waitForTimeout(200)),
        });
      }
      await shot(`${tab}-empty`, {
        ...base,
        options: { rounds: 0, live: false, status: "created" },
        hash: (id) => `#/s/${id}/${tab}`,
      });
    }
    await shot("inspector", { ...base, hash: (id) => `#/s/${id}/conversation?sel=10` });
    await shot("past", { ...base, hash: (id) => `#/s/${id}/conversation?turn=12` });
    await shot("sessions-failing", { ...base, options: { fail: ["GET sessions"] }, hash: () => "#/" });
    await shot("session-failing", {
      ...base,
      options: { fail: ["events", "models", "system", "context"] },
      hash: (id) => `#/s/${id}/conversation`,
    });
    await shot("health-failing", {
      ...base,
      options: { fail: ["events", "models", "system"] },
      hash: (id) => `#/s/${id}/health`,
    });
    await shot("new-session", {
      ...base,
      hash: () => "#/",
      before: (page) =>
        page
          .getByRole("button", { name: "New session" })
          .click()
          .then(() => page.waitForTimeout(200)),
    });
  }
}
await browser.close();
dist.close();
console.log(problems.length === 0 ? "no console errors" : problems.join("\n"));
