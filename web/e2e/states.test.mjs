// Every page in every state it can be in: populated, empty, failing, offline, not for one's role, and with each dialog
// open. In each, in dark, light and forced colours, wide and narrow: no axe violation, and no page scrolls sideways.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { firstAdmin, newPerson, PERSON, signInWith } from "./api.mjs";
import { launchBrowser, openPage, scrollsSideways, settled, violations } from "./browser.mjs";
import { startPsyche, stopPsyche } from "./psyche.mjs";

const PICTURES = new URL("../test-results/states/", import.meta.url).pathname;
const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 390, height: 844 };
const LOOKS = [
  ["dark", WIDE, { colorScheme: "dark", forcedColors: "none" }],
  ["light", WIDE, { colorScheme: "light", forcedColors: "none" }],
  ["forced", WIDE, { colorScheme: "dark", forcedColors: "active" }],
  ["narrow", NARROW, { colorScheme: "light", forcedColors: "none" }],
];
const TABS = ["conversation", "health", "visualizations", "analysis", "settings"];
const ACCOUNT = ["profile", "password", "devices", "factor", "privacy"];
const ADMIN = ["users", "roles", "blocked", "alerts", "audit", "settings"];
const WATCHER = { username: "tove", password: "a letter that somebody else reads" };
const LIST = /api\/v1\/sessions(\?|$)/u;
const NOBODY = "01890000-0000-7000-8000-000000000000";

let world;
let browser;
let admin;
let main;
let watcher;
let run;
let fork;
let fresh;

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  world = await startPsyche({ tables: '[models.default]\nprovider = "scripted"\nlatency_ms = 0\n' });
  admin = await firstAdmin(world.url);
  run = await make({ name: "The unopened letter", max_rounds: 6 });
  await command(run, "inject_stimulus", { kind: "memory", text: "A smell of bread." });
  await command(run, "start");
  await ended(run);
  const { seq } = await admin.call("GET", `/sessions/${run}`);
  fork = (await admin.call("POST", `/sessions/${run}/fork`, { at_seq: Math.floor(seq / 2) })).session_id;
  fresh = await make({ name: "Nobody has spoken" });
  const tove = await newPerson(admin, WATCHER.username, "observer", WATCHER.password);
  await admin.call("PUT", `/sessions/${run}/participants/${tove.user_id}`, { relation: "viewer" });
  browser = await launchBrowser();
  main = await openPage(browser);
  watcher = await openPage(browser);
  for (const { page } of [main, watcher]) page.setDefaultTimeout(10_000);
});

after(async () => {
  await browser?.close();
  if (world) await stopPsyche(world);
});

const make = async (settings) =>
  (await admin.call("POST", "/sessions", { session_type: "shared", seed: 7, ...settings })).session_id;
const command = (session, name, args) =>
  admin.call("POST", `/sessions/${session}/commands`, { command: name, ...(args && { args }) });
async function ended(id) {
  for (;;) {
    const { status } = await admin.call("GET", `/sessions/${id}`);
    if (status === "stopped") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Holds what is on the page now against every look. */
async function look(page, name) {
  const wrong = [];
  for (const [as, size, media] of LOOKS) {
    await page.emulateMedia(media);
    await page.setViewportSize(size);
    await settled(page);
    await page.screenshot({ path: `${PICTURES}${name}-${as}.png` });
    for (const found of await violations(page)) wrong.push(`${name}, ${as}: ${found}`);
    if (await scrollsSideways(page)) wrong.push(`${name}, ${as}: scrolls sideways`);
  }
  await page.emulateMedia(LOOKS[0][2]);
  await page.setViewportSize(WIDE);
  return wrong;
}

const open = (page, place) => page.goto(`${world.url}${place}`);
const tab = (session, name) => `#/s/${session}/${name}`;

/** The whole past is here once the playhead may be moved. */
const whole = (page) =>
  page.waitForFunction(() => document.querySelector("footer input[type=range]")?.disabled === false);

/** Opens the page anew while calls to `paths` get no answer. */
async function without(opened, paths, place, words, name) {
  const { page, quietly } = opened;
  const away = (route) => route.abort();
  const wrong = [];
  await quietly(async () => {
    await page.route(paths, away);
    try {
      await open(page, place);
      await page.reload();
      await page.getByText(words).first().waitFor();
      wrong.push(...(await look(page, name)));
    } finally {
      await page.unroute(paths, away);
    }
  });
  return wrong;
}

test("signed out: signing in, a refused one, setting up, resetting, registering", async () => {
  const { page, quietly } = main;
  const wrong = [];
  await open(page, "");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  wrong.push(...(await look(page, "sign-in")));
  await quietly(async () => {
    await page.getByLabel("User name").fill("mira");
    await page.getByLabel("Password").fill("not the right one at all");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    wrong.push(...(await look(page, "sign-in-refused")));
    for (const [place, words, name] of [
      ["#setup=wrong", "Set up psyche", "setup"],
      ["#reset=wrong", "Set your password", "reset"],
      ["#/register", "Registration is closed", "register-closed"],
    ]) {
      await open(page, place);
      await page.reload();
      await page.getByText(words).first().waitFor();
      wrong.push(...(await look(page, name)));
    }
  });
  await admin.call("PATCH", "/system/configuration", { registration: "open" });
  await page.reload();
  await page.getByText("What happens with your data").waitFor();
  wrong.push(...(await look(page, "register")));
  await admin.call("PATCH", "/system/configuration", { registration: "closed" });
  wrong.push(
    ...(await without(main, /api\/v1\/setup/u, "#/register", "could not be asked", "register-failing")),
  );
  assert.deepEqual(wrong, []);
});

test("the list of sessions: populated, chosen, nothing found, failing, gone stale; each of its dialogs", async () => {
  const { page, quietly } = main;
  const wrong = [];
  await signInWith(page, world.url, PERSON.username, PERSON.password);
  await page.getByRole("link", { name: "Nobody has spoken" }).waitFor();
  wrong.push(...(await look(page, "sessions")));
  await page.getByLabel("Choose Nobody has spoken").check();
  wrong.push(...(await look(page, "sessions-chosen")));
  await page.getByRole("button", { name: "Export…" }).click();
  await page.getByRole("dialog").waitFor();
  wrong.push(...(await look(page, "sessions-export")));
  await quietly(async () => {
    await page.route(/export/u, (route) =>
      route.fulfill({
        status: 429,
        headers: { "Retry-After": "1800" },
        json: {
          error: {
            code: 429,
            kind: "rate_limited",
            message: "Too many requests.",
            request_id: "r-1",
          },
        },
      }),
    );
    await page.getByRole("dialog").getByRole("button", { name: "Download" }).click();
    await page.getByText(/It can be tried again at \d\d:\d\d:\d\d, in 30 min 0 s/u).waitFor();
    wrong.push(...(await look(page, "sessions-export-failing")));
    await page.unroute(/export/u);
  });
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "New session" }).click();
  wrong.push(...(await look(page, "sessions-new")));
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: /^Delete Nobody/ }).click();
  wrong.push(...(await look(page, "sessions-delete")));
  await page.keyboard.press("Escape");
  await page.getByLabel("Search sessions by name").fill("nothing is called so");
  await page.getByText("No session matches").waitFor();
  wrong.push(...(await look(page, "sessions-nothing-found")));
  await page.getByRole("button", { name: "Clear the filters" }).click();
  await page.getByRole("link", { name: "Nobody has spoken" }).waitFor();
  await quietly(async () => {
    await page.route(LIST, (route) => route.abort());
    await page.getByLabel("State").selectOption("stopped");
    // The rows of another filter are not shown as if they were this one's.
    await page.getByText("The sessions could not be loaded").waitFor();
    assert.equal(await page.getByRole("link", { name: "Nobody has spoken" }).count(), 0);
    await page.unroute(LIST);
  });
  wrong.push(...(await without(main, LIST, "#/", "could not be loaded", "sessions-failing")));
  assert.deepEqual(wrong, []);
});

for (const name of TABS)
  test(`${name}: with a run, before one, in the past, without an answer, without a link`, async () => {
    const { page, context, quietly } = main;
    const wrong = [];
    await open(page, tab(run, name));
    await page.reload();
    await whole(page);
    wrong.push(...(await look(page, name)));
    await page.locator("main").focus();
    await page.keyboard.press("Home");
    await page.getByText("You are looking at the past").first().waitFor();
    wrong.push(...(await look(page, `${name}-past`)));
    await quietly(async () => {
      await context.setOffline(true);
      try {
        await page.getByText("Offline").first().waitFor();
        wrong.push(...(await look(page, `${name}-offline`)));
      } finally {
        await context.setOffline(false);
      }
      await page.getByText("Offline").first().waitFor({ state: "detached" });
    });
    await page.keyboard.press("End");
    await open(page, tab(fresh, name));
    await page.getByText("0 / 0").waitFor();
    wrong.push(...(await look(page, `${name}-empty`)));
    const calls = {
      conversation: [/\/events\?/u, "Earlier messages did not load"],
      health: [/system\/status|models/u, /could not be loaded|System/u],
      visualizations: [/\/events\?/u, /History did not load/u],
      analysis: [/\/events\?/u, "The course cannot be drawn"],
      settings: [/casts|models/u, /could not|Export/u],
    };
    const [paths, words] = calls[name];
    wrong.push(...(await without(main, paths, tab(run, name), words, `${name}-failing`)));
    assert.deepEqual(wrong, []);
  });

test("within a session: one that is gone, and each dialog", async () => {
  const { page, quietly } = main;
  const wrong = [];
  await quietly(async () => {
    await open(page, tab(NOBODY, "conversation"));
    await page.getByRole("alert").waitFor();
    wrong.push(...(await look(page, "session-missing")));
  });
  await open(page, tab(run, "conversation"));
  await page.locator("[data-message]").last().waitFor();
  await page.locator("[data-message]").last().getByRole("button", { name: /^Why/ }).click();
  await page.getByRole("heading", { name: "What the agent saw" }).waitFor();
  wrong.push(...(await look(page, "dialog-why")));
  await page.keyboard.press("Escape");
  for (const [key, name] of [
    ["n", "note"],
    ["f", "fork"],
    ["?", "keys"],
    ["Control+k", "palette"],
  ]) {
    await page.locator("main").focus();
    await page.keyboard.press(key);
    await page.getByRole("dialog").waitFor();
    wrong.push(...(await look(page, `dialog-${name}`)));
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  }
  await page.getByRole("button", { name: "Share…" }).click();
  await page.getByRole("dialog").getByText("owner").waitFor();
  wrong.push(...(await look(page, "dialog-share")));
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Reset…" }).click();
  wrong.push(...(await look(page, "dialog-reset")));
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: /^Ask / }).first().click();
  wrong.push(...(await look(page, "dialog-interview")));
  await page.keyboard.press("Escape");
  assert.deepEqual(wrong, []);
});

test("side by side: two runs, a run with nothing yet, and too few", async () => {
  const { page } = main;
  const wrong = [];
  for (const [ids, words, name] of [
    [[run, fork], "2 runs side by side", "compare"],
    [[run, fork, fresh], "3 runs side by side", "compare-strangers"],
    [[], "Two sessions are needed", "compare-too-few"],
  ]) {
    await open(page, `#/compare?of=${ids.join(",")}`);
    await page.getByText(words).waitFor();
    wrong.push(...(await look(page, name)));
  }
  const away = /sessions\/compare/u;
  const place = `#/compare?of=${run},${fork}`;
  wrong.push(...(await without(main, away, place, "The comparison could not be loaded", "compare-failing")));
  assert.deepEqual(wrong, []);
});

test("one's account and the administration, populated and failing; the guide", async () => {
  const { page, quietly } = main;
  const wrong = [];
  for (const section of ACCOUNT) {
    await open(page, `#/account/${section}`);
    await page.locator("main h1").waitFor();
    wrong.push(...(await look(page, `account-${section}`)));
  }
  for (const section of ["profile", "devices"])
    wrong.push(
      ...(await without(
        main,
        /api\/v1\/auth\/(?:me|devices)/u,
        `#/account/${section}`,
        /could not be loaded/u,
        `account-${section}-failing`,
      )),
    );
  for (const section of ADMIN) {
    await open(page, `#/admin/${section}`);
    await page.locator("main h1").waitFor();
    wrong.push(...(await look(page, `admin-${section}`)));
  }
  for (const section of ADMIN.filter((name) => name !== "roles"))
    wrong.push(
      ...(await without(
        main,
        /api\/v1\/(?:users|audit|security|system)/u,
        `#/admin/${section}`,
        /could not be/u,
        `admin-${section}-failing`,
      )),
    );
  await open(page, "#/help/measures");
  await page.locator("article h1").waitFor();
  wrong.push(...(await look(page, "help")));
  await quietly(async () => {
    await open(page, "#/help/nothing");
    await page.getByRole("heading", { name: "There is no such page" }).waitFor();
    wrong.push(...(await look(page, "help-missing")));
  });
  assert.deepEqual(wrong, []);
});

test("for somebody who only watches: no session, every tab of one, what is not for their role", async () => {
  const { page } = watcher;
  const wrong = [];
  await newPerson(admin, "nell", "observer", WATCHER.password);
  await signInWith(page, world.url, "nell", WATCHER.password);
  await page.getByText("No session").first().waitFor();
  wrong.push(...(await look(page, "watcher-sessions-empty")));
  await page.getByLabel(/^Account/).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await signInWith(page, world.url, WATCHER.username, WATCHER.password);
  await page.getByRole("link", { name: "The unopened letter" }).waitFor();
  wrong.push(...(await look(page, "watcher-sessions")));
  for (const name of TABS) {
    await open(page, tab(run, name));
    await page.getByText("Following live").waitFor();
    wrong.push(...(await look(page, `watcher-${name}`)));
  }
  await open(page, "#/admin/users");
  await page.getByText("Not for your role").waitFor();
  wrong.push(...(await look(page, "watcher-admin")));
  assert.deepEqual(wrong, []);
});

test("nothing complained", () => {
  assert.deepEqual([...main.complaints, ...watcher.complaints], []);
});
