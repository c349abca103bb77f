// The way of a researcher: find the turn, fork there with another stimulus, compare both, export both. And the same
// without a mouse.
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { firstAdmin, newPerson, PERSON, signInWith } from "./api.mjs";
import { launchBrowser, openPage, readBack, scrollsSideways, violations } from "./browser.mjs";
import { startPsyche, stopPsyche } from "./psyche.mjs";

const PICTURES = new URL("../test-results/pictures/", import.meta.url).pathname;
const NEW = { username: "nell", password: "a door at the end of the hall" };
const STIMULUS = "A second letter comes, and it is open.";

let world;
let browser;
let admin;
let main;
let original;
let fork;

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  world = await startPsyche({ tables: '[models.default]\nprovider = "scripted"\nlatency_ms = 0\n' });
  admin = await firstAdmin(world.url);
  const session = await admin.call("POST", "/sessions", {
    name: "The unopened letter",
    session_type: "single_user",
    seed: 7,
    max_rounds: 6,
  });
  original = session.session_id;
  await admin.call("POST", `/sessions/${original}/commands`, { command: "start" });
  await ended(original);
  browser = await launchBrowser();
  main = await openPage(browser);
  await signInWith(main.page, world.url, PERSON.username, PERSON.password);
  await main.page.getByRole("heading", { name: "Sessions" }).waitFor();
});

after(async () => {
  await browser?.close();
  if (world) await stopPsyche(world);
});

async function ended(id) {
  for (;;) {
    const { status } = await admin.call("GET", `/sessions/${id}`);
    if (status === "stopped") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
const idIn = (page) => /#\/s\/([^/]+)/u.exec(page.url())[1];
const said = async (id, after = 0) =>
  (await admin.call("GET", `/sessions/${id}/messages?after=${after}&limit=200`)).items;

/** Presses Tab until what has the focus is called so. */
async function tabTo(page, name) {
  for (let i = 0; i < 80; i += 1) {
    await page.keyboard.press("Tab");
    const called = await page.evaluate(() => {
      const { activeElement: it } = document;
      const labels = [...(it.labels ?? [])].map((label) => label.innerText);
      return [it.getAttribute("aria-label"), it.title, it.innerText, ...labels].filter(Boolean);
    });
    if (called.some((each) => name.test(each.trim()))) return;
  }
  assert.fail(`Tab never comes to ${name}`);
}

test("an agent is asked outside the conversation, and the log does not know of it", async () => {
  const { page } = main;
  await page.goto(`${world.url}#/s/${original}/conversation`);
  const { seq } = await admin.call("GET", `/sessions/${original}`);
  await page.getByRole("button", { name: /^Ask Shadow/ }).click();
  const dialog = page.getByRole("dialog", { name: "Ask Shadow" });
  await dialog.getByLabel("Question").fill("What is in the letter?");
  await page.keyboard.press("Control+Enter");
  await dialog.locator("blockquote").waitFor();
  assert.notEqual(await dialog.locator("blockquote").innerText(), "");
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}interview.png` });
  await page.keyboard.press("Escape");
  assert.equal((await admin.call("GET", `/sessions/${original}`)).seq, seq);
});

test("a fork at turn 12 goes on with another stimulus; what is before it is shared", async () => {
  const { page } = main;
  await page.goto(`${world.url}#/s/${original}/conversation?turn=12`);
  await page.getByText("You are looking at the past, as of turn 12.").waitFor();
  await page.getByRole("button", { name: "Fork here…" }).click();
  const dialog = page.getByRole("dialog", { name: "Fork at turn 12" });
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}fork.png` });
  await dialog.getByLabel("Name").fill("The open letter");
  await dialog.getByLabel("Stimulus").fill(STIMULUS);
  await dialog.getByRole("button", { name: "Fork" }).click();
  await page.waitForURL((url) => url.hash.startsWith("#/s/") && !url.hash.includes(original));
  fork = idIn(page);
  await ended(fork);
  const [mine, theirs] = [await said(fork), await said(original)];
  const words = (messages) => messages.slice(0, 12).map(({ content }) => content);
  assert.deepEqual(words(mine), words(theirs));
  await page.getByText("Stopped: all rounds are done").waitFor();
  const read = [];
  await readBack(page, async () => read.push(await page.locator("main ol").innerText()));
  assert.match(read.join("\n"), /Forked here from/u);
  assert.ok(read.join("\n").includes(STIMULUS));
  await page.getByText("Forked here from The unopened letter").waitFor();
  const compare = page.getByRole("link", { name: "Compare with the original" });
  assert.equal(await compare.getAttribute("href"), `#/compare?of=${original},${fork}`);
});

test("both are chosen in the list and stand side by side from where they part", async () => {
  const { page } = main;
  await page.goto(`${world.url}#/`);
  const rowAt = async () => (await page.locator("tbody tr").first().boundingBox()).y;
  const before = await rowAt();
  await page.getByLabel("Choose The open letter").check();
  await page.getByText("1 chosen").waitFor();
  assert.equal(await rowAt(), before, "a tick moves the rows");
  assert.equal(await page.getByRole("button", { name: "Compare" }).isDisabled(), true);
  await page.getByLabel("Choose The unopened letter").check();
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}sessions-chosen.png` });
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByRole("heading", { name: "2 runs side by side" }).waitFor();
  const baseline = page.getByRole("columnheader", { name: /the one the others are compared with/ });
  assert.match(
    await baseline.innerText(),
    /^The unopened letter/u,
    "the original, whichever was ticked first",
  );
  await page.goBack();
  await page.getByText("2 chosen").waitFor();
  await page.goForward();
  await page.getByText("Shared past: 12 turns").click();
  const past = await said(original);
  await page.getByText(past[0].content.slice(0, 60)).first().waitFor();
  const rows = page.locator("tbody tr");
  assert.equal((await rows.first().locator("th").innerText()).trim(), "13");
  const own = past.find(({ metadata }) => metadata.turn === 13);
  assert.ok((await rows.first().innerText()).includes(own.content));
  assert.ok((await page.locator("tbody").innerText()).includes(STIMULUS));
  const looks = [
    ["dark", { width: 1440, height: 900 }],
    ["light", { width: 1440, height: 900 }],
    ["dark", { width: 390, height: 844 }],
    ["light", { width: 390, height: 844 }],
  ];
  for (const [colorScheme, size] of looks) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);
    assert.deepEqual(await violations(page), [], `${colorScheme} ${size.width}`);
    assert.equal(await scrollsSideways(page), false);
    await page.screenshot({ path: `${PICTURES}compare-${colorScheme}-${size.width}.png` });
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.getByRole("button", { name: "Open The open letter at turn 13" }).click();
  await page.getByText("You are looking at the past, as of turn 13.").waitFor();
});

test("a comparison that cannot be had says so, and one of too few says what is needed", async () => {
  const { page, quietly } = main;
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await page.goto(`${world.url}#/compare`);
    await page.getByText("Two sessions are needed").waitFor();
    assert.deepEqual(await violations(page), []);
    await quietly(async () => {
      await page.goto(`${world.url}#/compare?of=${original},01890000-0000-7000-8000-000000000000`);
      await page.getByText("The comparison could not be loaded").waitFor();
      assert.deepEqual(await violations(page), []);
    });
  }
});

test("both are exported, and one comes back as another session with the same words", async () => {
  const { page } = main;
  await page.goto(`${world.url}#/`);
  await page.getByLabel("Choose The unopened letter").check();
  await page.getByLabel("Choose The open letter").check();
  await page.getByRole("button", { name: "Export…" }).click();
  const files = [];
  page.on("download", (download) => files.push(download));
  await page
    .getByRole("dialog", { name: "Export 2 sessions" })
    .getByRole("button", { name: "Download" })
    .click();
  await page.getByText("2 files are in your downloads.").waitFor();
  assert.deepEqual(await violations(page), []);
  const path = await files[0].path();
  assert.equal((await readFile(path, "utf8")).trim().split("\n").length > 50, true);
  await page.keyboard.press("Escape");
  await page.locator("input[type=file]").setInputFiles({
    name: "letter.jsonl",
    mimeType: "application/jsonl",
    buffer: await readFile(path),
  });
  await page.waitForURL(/#\/s\//u);
  const imported = idIn(page);
  const contents = async (id) => (await said(id)).map(({ content }) => content);
  assert.deepEqual(await contents(imported), await contents(original));
  await page.locator("[data-message]").first().waitFor();
});

test("a file that is no session is refused in words, and nothing is made of it", async () => {
  const { page, quietly } = main;
  await page.goto(`${world.url}#/`);
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  const before = (await admin.call("GET", "/sessions")).items.length;
  await quietly(async () => {
    await page.locator("input[type=file]").setInputFiles({
      name: "shopping.jsonl",
      mimeType: "application/jsonl",
      buffer: Buffer.from('{"bread": 2}\n'),
    });
    await page.getByText("“shopping.jsonl” was not imported").waitFor();
  });
  assert.equal((await admin.call("GET", "/sessions")).items.length, before);
  assert.deepEqual(await violations(page), []);
});

test("without a mouse: sign in, start a session, hear it, find a turn, export it", async () => {
  const { page, complaints } = await openPage(browser, { acceptDownloads: true });
  await page.goto(world.url);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await tabTo(page, /^User name$/u);
  await page.keyboard.type(PERSON.username);
  await tabTo(page, /^Password$/u);
  await page.keyboard.type(PERSON.password);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  await tabTo(page, /^New session$/u);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "New session" }).waitFor();
  await page.keyboard.type("By keys");
  await page.keyboard.press("Enter");
  await page.getByText("Press Start, and the agents begin").waitFor();
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("Space");
  await page.waitForFunction(() => document.querySelectorAll("[data-message]").length >= 5);
  await page.keyboard.press("Space");
  await page.getByText("Paused").first().waitFor();
  await page.keyboard.press("Home");
  await page.getByText("You are looking at the past, as of turn 1.").waitFor();
  await page.keyboard.press("End");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Find a command" }).waitFor();
  await page.keyboard.type("go to the sessions");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  await page.getByRole("link", { name: "By keys" }).waitFor();
  await tabTo(page, /^Export By keys…$/u);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Export this session" }).waitFor();
  const file = page.waitForEvent("download");
  await tabTo(page, /^Download$/u);
  await page.keyboard.press("Enter");
  assert.match((await file).suggestedFilename(), /\.jsonl$/u);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test("the list of sessions: no axe violation with nothing found, and when it cannot be loaded", async () => {
  const { page, quietly } = main;
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await page.goto(`${world.url}#/`);
    await page.reload();
    await page.getByLabel("Search sessions by name").fill("nothing is called so");
    await page.getByText("No session matches").waitFor();
    assert.deepEqual(await violations(page), [], `nothing found, ${colorScheme}`);
    await page.getByRole("button", { name: "Clear the filters" }).click();
    await page.getByLabel("Tag").fill("nobody");
    await page.getByText("No session matches").waitFor();
    await quietly(async () => {
      await page.route(/api\/v1\/sessions(\?|$)/u, (route) => route.abort());
      await page.reload();
      await page.getByText("The sessions could not be loaded").waitFor();
      assert.deepEqual(await violations(page), [], `failing, ${colorScheme}`);
      await page.unroute(/api\/v1\/sessions(\?|$)/u);
      await page.getByRole("button", { name: "Retry" }).click();
      await page.getByRole("link", { name: "The open letter" }).first().waitFor();
    });
  }
});

test("a newcomer: the demo, a stimulus, the turn where stagnation rose, a fork, both compared and exported", async () => {
  await newPerson(admin, NEW.username, "researcher", NEW.password);
  const { page, complaints } = await openPage(browser, { acceptDownloads: true });
  await signInWith(page, world.url, NEW.username, NEW.password);
  await page.getByRole("button", { name: "Start the demo session" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/#\/s\//u);
  const demo = idIn(page);
  await page.locator("[data-message]").first().waitFor();

  await page.keyboard.press("i");
  await page.waitForFunction(() => document.activeElement.dataset.key === "inject");
  await page.keyboard.type("A smell of bread fills the hall.");
  await page.keyboard.press("Control+Enter");
  await page.locator(".card", { hasText: "A smell of bread fills the hall." }).getByText("heard").waitFor();

  // Read as people read it: turn by turn, in the tile.
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("2");
  const tile = page.getByRole("region", { name: "Stagnation", exact: true });
  await page.waitForFunction(
    () => Number.parseInt(document.querySelector("footer output").innerText, 10) >= 25,
    null,
    {
      timeout: 60_000,
    },
  );
  await page.keyboard.press("Space");
  await page.getByText("Paused").first().waitFor();
  await page.keyboard.press("Home");
  const course = [];
  let rose = 0;
  while (rose === 0) {
    const turn = Number(await page.getByRole("slider", { name: "Turn" }).inputValue());
    await page.getByText(`You are looking at the past, as of turn ${turn}.`).waitFor();
    const value = Number.parseFloat(await tile.locator(".value").innerText());
    if (value > course.at(-1)) rose = turn;
    course.push(value);
    if (rose === 0) await page.keyboard.press("ArrowRight");
  }
  const { turns } = await admin.call("GET", `/sessions/${demo}/timeline`);
  const known = turns.gauges.stagnation.slice(0, course.length).map((value) => value ?? Number.NaN);
  assert.deepEqual(
    course,
    known.map((value) => Number.parseFloat(value.toFixed(2))),
  );

  await page.keyboard.press("f");
  await page.getByRole("dialog", { name: `Fork at turn ${rose}` }).waitFor();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("The demo, otherwise");
  await tabTo(page, /^Stimulus$/u);
  await page.keyboard.type(STIMULUS);
  await tabTo(page, /^Fork$/u);
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => /#\/s\//u.test(url.hash) && !url.hash.includes(demo));
  const branch = idIn(page);
  await page.locator(".card", { hasText: STIMULUS }).getByText("heard").waitFor();
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("Space");
  await page.getByText("Paused").first().waitFor();

  await page.goto(`${world.url}#/`);
  for (const name of [/^Choose The demo, otherwise$/u, /^Choose (?!The demo, otherwise)/u]) {
    await page.getByLabel(name).focus();
    await page.keyboard.press("Space");
  }
  await page.getByText("2 chosen").waitFor();
  await page.getByRole("button", { name: "Compare" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "2 runs side by side" }).waitFor();
  await page.getByText(`Shared past: ${rose} turns`).waitFor();
  assert.equal((await page.locator("tbody tr th").first().innerText()).trim(), String(rose + 1));
  assert.ok((await page.locator("tbody").innerText()).includes(STIMULUS));
  assert.deepEqual(await violations(page), []);

  const files = [];
  page.on("download", (download) => files.push(download));
  // What is ticked stays ticked.
  await page.goto(`${world.url}#/`);
  await page.getByText("2 chosen").waitFor();
  for (const format of ["JSONL", "CSV"]) {
    await page.getByRole("button", { name: "Export…" }).click();
    await page.getByRole("radio", { name: new RegExp(`^${format} `, "u") }).check();
    await tabTo(page, /^Download$/u);
    await page.keyboard.press("Enter");
    await page.getByText("2 files are in your downloads.").waitFor();
    await page.keyboard.press("Escape");
  }
  const read = new Map();
  for (const file of files) read.set(file.suggestedFilename(), await readFile(await file.path(), "utf8"));
  const hashes = [];
  for (const id of [demo, branch]) {
    const lines = read.get(`psyche-${id}.jsonl`).trim().split("\n");
    const [head, ...records] = lines.map((line) => JSON.parse(line));
    assert.equal(head.session_id, id);
    assert.equal(
      lines.some((line) => line.includes(STIMULUS)),
      id === branch,
    );
    hashes.push(records.map(({ hash }) => hash));
    const [columns, ...rows] = read.get(`psyche-${id}.csv`).trim().split("\r\n");
    assert.match(columns, /^seq,timestamp,/u);
    assert.equal(rows.length, (await said(id)).length);
  }
  // A fork has the very past it was forked from, and only that.
  const apart = hashes[1].findIndex((hash, at) => hash !== hashes[0][at]);
  const past = read
    .get(`psyche-${demo}.jsonl`)
    .split("\n")
    .slice(1, apart + 1);
  const spoken = past.map((line) => JSON.parse(line)).filter(({ kind }) => kind === "agent_message");
  assert.equal(spoken.length, rose);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test("nothing complained", () => {
  assert.deepEqual(main.complaints, []);
});
