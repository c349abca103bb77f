// A long conversation in a real browser: reading, finding, noting, replaying, and what others do meanwhile.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Caller, firstAdmin, newPerson, PERSON, signInWith } from "./api.mjs";
import { launchBrowser, openPage, readBack, violations } from "./browser.mjs";
import { kill, launch, startPsyche, stopPsyche } from "./psyche.mjs";

const PICTURES = new URL("../test-results/pictures/", import.meta.url).pathname;
const WATCHER = "a letter that somebody else reads";
/** As many rows as a page may hold. */
const MOST_ROWS = 200;

let world;
let browser;
let admin;
let main;
let long;

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  world = await startPsyche({
    tables: '[models.default]\nprovider = "scripted"\nlatency_ms = 0\n',
  });
  admin = await firstAdmin(world.url);
  long = await run("A long evening", { max_rounds: 130 });
  browser = await launchBrowser();
  main = await openPage(browser);
  await signInWith(main.page, world.url, PERSON.username, PERSON.password);
  await main.page.getByRole("heading", { name: "Sessions" }).waitFor();
});

after(async () => {
  await browser?.close();
  if (world) await stopPsyche(world);
});

/** A session that has run until its rounds are done. */
async function run(name, settings) {
  const session = await make(name, settings);
  await command(session, "start");
  for (;;) {
    const { status } = await admin.call("GET", `/sessions/${session}`);
    if (status !== "running") return session;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function make(name, settings) {
  const body = { name, session_type: "shared", seed: 7, ...settings };
  return (await admin.call("POST", "/sessions", body)).session_id;
}

const command = (session, name, args) =>
  admin.call("POST", `/sessions/${session}/commands`, { command: name, ...(args && { args }) });

/** Every message of a session by its place in the log. */
async function logged(session) {
  const seqs = [];
  for (let after = 0; ;) {
    const page = await admin.call("GET", `/sessions/${session}/messages?after=${after}&limit=200`);
    seqs.push(...page.items.map(({ seq }) => seq));
    if (page.next_cursor === null) return seqs;
    after = Number(page.next_cursor);
  }
}

const place = (session, rest = "conversation") => `${world.url}#/s/${session}/${rest}`;
const seqs = (page) =>
  page.locator("[data-message]").evaluateAll((all) => all.map((each) => Number(each.dataset.message)));
const scroller = (page) => page.getByRole("region", { name: "Messages" });
/** The whole past is here once the playhead may be moved. */
const whole = (page) =>
  page.waitForFunction(() => document.querySelector("footer input[type=range]")?.disabled === false);
const turnOf = async (page) => Number((await page.locator("footer output").innerText()).split("/")[0]);

test("a long conversation is read back to its first word: all of it, each once, never too many rows", async () => {
  const { page } = main;
  const expected = await logged(long);
  assert.equal(expected.length, 650);
  await page.goto(place(long));
  await whole(page);
  const seen = new Set();
  await readBack(page, async () => {
    const shown = await seqs(page);
    assert.ok(shown.length <= MOST_ROWS, `${shown.length} rows`);
    assert.deepEqual(
      shown,
      [...shown].sort((a, b) => a - b),
      "in order",
    );
    assert.equal(new Set(shown).size, shown.length, "none twice");
    for (const seq of shown) seen.add(seq);
  });
  assert.deepEqual(
    [...seen].sort((a, b) => a - b),
    expected,
  );
  await page.getByText("The situation", { exact: true }).waitFor();
  await page.getByText("Started, by you").waitFor();
  await page.getByRole("button", { name: /new$|To the end/ }).click();
  await page.waitForFunction(
    (last) => [...document.querySelectorAll("[data-message]")].at(-1)?.dataset.message === String(last),
    expected.at(-1),
  );
});

test("text does not move under a reader while others speak; what is new is counted, and one press away", async () => {
  const { page } = main;
  const session = await make("While you read", { pacing_ms: 60 });
  await command(session, "start");
  await page.goto(place(session));
  await page.waitForFunction(() => document.querySelectorAll("[data-message]").length >= 20);
  await scroller(page).evaluate((node) => node.scrollTo({ top: -300 }));
  const fresh = page.getByRole("button", { name: /^\d+ new$/ });
  await fresh.waitFor();
  const where = () =>
    scroller(page).evaluate((node) => {
      const top = node.getBoundingClientRect().top;
      const row = [...node.querySelectorAll("[data-message]")].find(
        (each) => each.getBoundingClientRect().top > top,
      );
      return [row.dataset.message, Math.round(row.getBoundingClientRect().top)];
    });
  const before = await where();
  const counted = async () => Number.parseInt(await fresh.innerText(), 10);
  const few = await counted();
  await page.waitForFunction(
    (least) =>
      [...document.querySelectorAll("button")].some(
        (each) => / new$/.test(each.innerText) && Number.parseInt(each.innerText, 10) > least,
      ),
    few + 10,
  );
  assert.deepEqual(await where(), before);
  await fresh.click();
  await fresh.waitFor({ state: "detached" });
  await command(session, "stop");
  const last = (await logged(session)).at(-1);
  await page.locator(`[data-message="${last}"]`).waitFor();
});

test("a note with tags is written by key, stands by its message, and is found by its tag", async () => {
  const { page } = main;
  await page.goto(place(long));
  await whole(page);
  await page.locator("[data-message]").last().waitFor();
  await page.keyboard.press("k");
  const noted = (await seqs(page)).at(-1);
  await page.keyboard.press("n");
  await page.getByRole("dialog", { name: /^Note on turn/ }).waitFor();
  await page.keyboard.type("Here it turns.");
  await page.keyboard.press("Tab");
  await page.keyboard.type("turning point, #key");
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press("Enter");
  const note = page
    .locator("li", { has: page.locator(`[data-message="${noted}"]`) })
    .getByText("Here it turns.");
  await note.waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("#turning");
  await page.getByText("1 found").waitFor();
  assert.deepEqual(await seqs(page), [noted]);
  await page.getByRole("button", { name: /^In context/ }).click();
  await page.getByText("1 found").waitFor({ state: "detached" });
  assert.equal(await page.evaluate(() => document.activeElement.dataset.message), String(noted));
  const events = await admin.call("GET", `/sessions/${long}/events?type=annotation`);
  assert.deepEqual(
    events.items.map(({ text, tags }) => [text, tags]),
    [["Here it turns.", ["turning point", "key"]]],
  );
});

test("search marks what it found, in every message of the log that has it", async () => {
  const { page } = main;
  const word = "letter";
  let expected = 0;
  for (let after = 0; ;) {
    const answer = await admin.call("GET", `/sessions/${long}/messages?after=${after}&limit=200`);
    expected += answer.items.filter(({ content }) => content.toLowerCase().includes(word)).length;
    if (answer.next_cursor === null) break;
    after = Number(answer.next_cursor);
  }
  assert.ok(expected > 0);
  await page.getByLabel("Search the conversation").fill(word);
  await page.getByText(`${expected} found`).waitFor();
  assert.equal((await page.locator("mark").first().innerText()).toLowerCase(), word);
  assert.deepEqual(await violations(page), []);
  await page.getByLabel("Search the conversation").fill("nobody says this");
  await page.getByText("No message matches").waitFor();
  await page.getByRole("button", { name: "Clear the search" }).click();
});

test("the replay plays, is paused, changes its speed, ends by following live; every tab says it shows the past", async () => {
  const { page } = main;
  await page.keyboard.press("Escape");
  await page.locator("main").focus();
  await page.keyboard.press("p");
  await page.getByText("Replaying 1×").waitFor();
  await page.getByText("You are looking at the past, as of").waitFor();
  // Each turn changes what is shown, and draws no tab anew: whoever scrolls or has the focus in it stays.
  await scroller(page).evaluate((node) => (node.kept = true));
  await page.getByLabel("Speed of the replay").selectOption({ label: "8×" });
  await page.waitForFunction(
    () => Number.parseInt(document.querySelector("footer output").innerText, 10) >= 4,
  );
  await page.locator("main").focus();
  await page.keyboard.press("Space");
  await page.getByText("Replay paused", { exact: true }).waitFor();
  const stood = await turnOf(page);
  assert.equal(await scroller(page).evaluate((node) => node.kept), true);
  await page.getByText(`Replaying turn ${stood}`).waitFor();
  for (const tab of ["2", "3", "4", "5", "1"]) {
    await page.keyboard.press(tab);
    await page.getByText(`You are looking at the past, as of turn ${stood}.`).waitFor();
  }
  assert.equal(await turnOf(page), stood, "the playhead is one for all tabs");
  assert.equal(await page.getByRole("button", { name: "Start", exact: true }).isDisabled(), true);
  await page.keyboard.press("]");
  await page.keyboard.press("[");
  await page.keyboard.press("End");
  await page.getByText("You are looking at the past, as of").waitFor({ state: "detached" });
});

test("a link restores session, tab, turn and selection, for somebody who comes from outside", async () => {
  const { page, complaints } = await openPage(browser);
  const selected = (await logged(long))[40];
  await page.goto(place(long, `conversation?turn=57&sel=${selected}`));
  await page.getByLabel("User name").fill(PERSON.username);
  await page.getByLabel("Password").fill(PERSON.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("You are looking at the past, as of turn 57.").waitFor();
  await page.getByRole("dialog", { name: "Why this message" }).getByText("Turn, round").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(`[data-message="${selected}"]`).waitFor();
  await page.keyboard.press("2");
  await page.waitForURL(/\/health\?turn=57/);
  await page.goBack();
  await page.waitForURL(/\/conversation\?turn=57/);
  await page.evaluate(() => (location.hash = location.hash.replace("turn=57", "turn=12")));
  await page.getByText("You are looking at the past, as of turn 12.").waitFor();
  assert.equal(Number(await page.getByRole("slider", { name: "Turn" }).inputValue()), 12);
  assert.match(
    await page.getByRole("slider", { name: "Turn" }).getAttribute("aria-valuetext"),
    /Turn 12 of 650/,
  );
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test("a person speaks, in their own name, and the agents go on from it", async () => {
  const { page } = main;
  const session = await make("Together", { max_rounds: 2 });
  await page.goto(place(session));
  await page.getByLabel("Kind").selectOption({ label: "Speak as yourself" });
  await page.getByLabel("Text").fill("I am listening.");
  await page.getByRole("button", { name: "Speak", exact: true }).click();
  await page.locator("[data-message]", { hasText: "I am listening." }).waitFor();
  await page.screenshot({ path: `${PICTURES}speak.png` });
});

test("somebody who only watches sees why, sees who is here, and sees what others do", async () => {
  const { page } = main;
  await newPerson(admin, "tove", "observer", WATCHER);
  const tove = await new Caller(world.url).signIn("tove", WATCHER);
  await admin.call("PUT", `/sessions/${long}/participants/${tove.user.user_id}`, { relation: "viewer" });
  const other = await openPage(browser);
  await signInWith(other.page, world.url, "tove", WATCHER);
  await other.page.getByRole("heading", { name: "Sessions" }).waitFor();
  await other.page.goto(place(long));
  await whole(other.page);
  const start = other.page.getByRole("button", { name: "Start", exact: true });
  assert.equal(await start.isDisabled(), true);
  assert.match(await start.getAttribute("title"), /may only watch|as a viewer/);
  await page.goto(place(long));
  await page.getByLabel("2 here").click();
  await page.getByText("tove").waitFor();
  await page.keyboard.press("Escape");
  const target = (await logged(long)).at(-2);
  await admin.call("POST", `/sessions/${long}/annotations`, { seq: target, text: "Seen by both.", tags: [] });
  await other.page.getByText("Seen by both.").waitFor();
  await page.getByText("Seen by both.").waitFor();
  assert.deepEqual(await violations(other.page), []);
  assert.deepEqual(other.complaints, []);
  await other.page.context().close();
});

test("the program is killed in the middle of a run: said at once, taken up again, nothing lost or repeated", async () => {
  const { page, quietly } = main;
  const session = await make("Interrupted", { pacing_ms: 150 });
  await command(session, "start");
  await page.goto(place(session));
  await page.waitForFunction(() => document.querySelectorAll("[data-message]").length >= 5);
  // Every message that was ever put on the page, in the order in which it came.
  await page.evaluate(() => {
    const came = [...document.querySelectorAll("[data-message]")].map((row) => Number(row.dataset.message));
    globalThis.came = came;
    new MutationObserver((records) => {
      for (const { addedNodes } of records)
        for (const node of addedNodes)
          if (node instanceof Element)
            for (const row of node.querySelectorAll("[data-message]")) came.push(Number(row.dataset.message));
    }).observe(document.querySelector("main"), { childList: true, subtree: true });
  });
  await quietly(async () => {
    await kill(world);
    await page.getByText("Reconnecting: data may be stale").waitFor({ timeout: 1000 });
    await launch(world);
    await page.getByText("Reconnecting: data may be stale").waitFor({ state: "detached", timeout: 2500 });
  });
  const { status } = await admin.call("GET", `/sessions/${session}`);
  if (status !== "running") await command(session, "start");
  const before = await page.evaluate(() => globalThis.came.length);
  await page.waitForFunction((least) => globalThis.came.length >= least, before + 5);
  await command(session, "stop");
  const expected = await logged(session);
  await page.locator(`[data-message="${expected.at(-1)}"]`).waitFor();
  const came = await page.evaluate(() => globalThis.came);
  assert.deepEqual(came, expected.slice(expected.indexOf(came[0])));
});

test("nothing complained", () => {
  assert.deepEqual(main.complaints, []);
});
