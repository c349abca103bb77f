// Takes pictures of every page in every state, for a person to judge. Usage: node test-support/look.mjs [folder] [pattern of names]
import { mkdir } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { fake, serveDist, signedIn } from "./fake.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = process.argv[2] ?? "test-results/looks";
const only = new RegExp(process.argv[3] ?? "", "u");
await mkdir(folder, { recursive: true });
// `WEB_DIST` names another build than dist/.
const dist = await serveDist(process.env.WEB_DIST);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
});
const SIZES = {
  wide: { width: 1440, height: 900 },
  narrow: { width: 390, height: 844 },
  large: { width: 1920, height: 1080 },
};
const TABS = ["conversation", "health", "visualizations", "analysis", "settings"];
const problems = [];

const press = (name) => (page) =>
  page
    .getByRole("button", { name })
    .first()
    .click()
    .then(() => page.waitForTimeout(250));
const at = (place) => () => `#/${place}`;
const signInAs = (name) => async (page) => {
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill("a letter that nobody opened");
  await press("Sign in")(page);
};
const IDENTITY = [
  { name: "id-locked", out: true, options: { expect: true }, hash: () => "", before: signInAs("locked") },
  {
    name: "id-otp",
    out: true,
    options: { expect: true, identity: { factor: true } },
    hash: () => "",
    before: signInAs("mira"),
  },
  { name: "id-register", out: true, hash: at("register") },
  {
    name: "id-reset",
    out: true,
    options: { expect: true },
    hash: () => "#reset=abc",
    before: async (page) => {
      await page.getByLabel("New password").fill("a letter that nobody opened");
      await press("Set the password")(page);
    },
  },
  ...["profile", "password", "devices", "factor", "privacy"].flatMap((section) => [
    { name: `id-account-${section}`, hash: at(`account/${section}`) },
    {
      name: `id-account-${section}-empty`,
      options: { identityEmpty: true, identity: { factor: true } },
      hash: at(`account/${section}`),
    },
    {
      name: `id-account-${section}-failing`,
      options: { fail: ["GET setup", "auth/me", "auth/devices"] },
      hash: at(`account/${section}`),
    },
  ]),
  { name: "id-share", hash: (id) => `#/s/${id}/conversation`, before: press("Share…") },
  {
    name: "id-share-empty",
    options: { identityEmpty: true },
    hash: (id) => `#/s/${id}/conversation`,
    before: press("Share…"),
  },
  {
    name: "id-share-failing",
    options: { fail: ["/state", "GET users"] },
    hash: (id) => `#/s/${id}/conversation`,
    before: press("Share…"),
  },
  { name: "id-must-enrol", options: { identity: { mustEnrol: true } }, hash: at("") },
  {
    name: "id-enrol",
    hash: at("account/factor"),
    before: async (page) => {
      await page.getByLabel("Your password").fill("x");
      await press("Set it up")(page);
    },
  },
  {
    name: "id-codes",
    hash: at("account/factor"),
    before: async (page) => {
      await page.getByLabel("Your password").fill("x");
      await press("Set it up")(page);
      await page.getByLabel("Code", { exact: true }).fill("123456");
      await press("Turn it on")(page);
    },
  },
  {
    name: "id-erase",
    options: { expect: true },
    hash: at("account/privacy"),
    before: async (page) => {
      await press("Erase my account…")(page);
      await page.getByLabel(/Type your user name/).fill("mira");
      await page.getByRole("dialog").getByLabel("Your password").fill("x");
      await press("Erase for good")(page);
    },
  },
  ...["users", "roles", "blocked", "alerts", "audit", "settings"].flatMap((section) => [
    { name: `id-admin-${section}`, hash: at(`admin/${section}`) },
    { name: `id-admin-${section}-empty`, options: { identityEmpty: true }, hash: at(`admin/${section}`) },
    {
      name: `id-admin-${section}-failing`,
      options: { fail: ["users", "audit", "security", "system/"] },
      hash: at(`admin/${section}`),
    },
  ]),
  { name: "id-admin-denied", options: { role: "researcher" }, hash: at("admin/users") },
  {
    name: "id-admin-audit-broken",
    options: { identity: { broken: true } },
    hash: at("admin/audit"),
    before: (page) => page.locator("button.when").nth(1).click(),
  },
  { name: "id-admin-new-user", hash: at("admin/users"), before: press("New user") },
  {
    name: "id-admin-made-user",
    hash: at("admin/users"),
    before: async (page) => {
      await press("New user")(page);
      await page.getByLabel("User name").fill("tove");
      await page.getByLabel("Email").fill("tove@example.org");
      await press("Make the account")(page);
    },
  },
  {
    name: "id-admin-last-admin",
    options: { expect: true },
    hash: at("admin/users"),
    before: async (page) => {
      await press(/^Mira/)(page);
      await page.getByRole("dialog").getByLabel("Role").selectOption("observer");
      await press(/^Make mira/)(page);
    },
  },
  { name: "id-admin-lift", hash: at("admin/blocked"), before: press(/^Lift the block of 198/) },
  {
    name: "id-menu",
    hash: at(""),
    before: (page) => page.locator("summary").last().click(),
  },
];

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

async function shot(name, { scheme, size, options, hash, out = false, before, media = {} }) {
  const file = `${name}-${scheme}-${size}`;
  if (!only.test(file)) return;
  const context = await browser.newContext({
    viewport: SIZES[size],
    colorScheme: scheme,
    ...media,
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
    for (const tab of ["visualizations", "analysis", "settings"])
      await shot(`${tab}-failing`, {
        ...base,
        options: { fail: ["events", "models", "analysis", "casts"] },
        hash: (id) => `#/s/${id}/${tab}`,
      });
    const scrolled = (where) => (page) =>
      page
        .evaluate((part) => {
          const main = document.querySelector("main");
          main.scrollTo(0, main.scrollHeight * part);
        }, where)
        .then(() => page.waitForTimeout(400));
    for (const part of [0.25, 0.5, 0.75])
      await shot(`analysis-at-${part}`, {
        ...base,
        hash: (id) => `#/s/${id}/analysis`,
        before: scrolled(part),
      });
    await shot("analysis-history", {
      ...base,
      hash: (id) => `#/s/${id}/analysis`,
      before: async (page) => {
        await page.getByRole("button", { name: "Compute", exact: true }).click();
        await page.waitForTimeout(700);
        await scrolled(1)(page);
      },
    });
    for (const tab of ["visualizations", "settings"])
      await shot(`${tab}-at-end`, { ...base, hash: (id) => `#/s/${id}/${tab}`, before: scrolled(1) });
    await shot("visualizations-past", {
      ...base,
      hash: (id) => `#/s/${id}/visualizations?turn=30`,
      before: scrolled(1),
    });
    await shot("help", { ...base, hash: () => "#/help/measures" });
    await shot("help-missing", { ...base, hash: () => "#/help/nothing" });
    for (const look of IDENTITY) await shot(look.name, { ...base, ...look });
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
for (const scheme of ["dark", "light"]) await shot("sessions", { scheme, size: "large", hash: () => "#/" });
for (const tab of TABS) {
  const hash = (id) => `#/s/${id}/${tab}`;
  for (const scheme of ["dark", "light"]) await shot(tab, { scheme, size: "large", hash });
  await shot(`${tab}-contrast`, { scheme: "light", size: "wide", hash, media: { contrast: "more" } });
  await shot(`${tab}-forced`, { scheme: "dark", size: "wide", hash, media: { forcedColors: "active" } });
}
await browser.close();
dist.close();
console.log(problems.length === 0 ? "no console errors" : problems.join("\n"));
