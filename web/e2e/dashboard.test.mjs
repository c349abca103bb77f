// The whole way, in a real browser against the real program with the scripted model.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fitsWindow, launchBrowser, openPage, scrollsSideways, settled, violations } from "./browser.mjs";
import { kill, launch, SETUP_CODE, startPsyche, stopPsyche } from "./psyche.mjs";

const PICTURES = new URL("../test-results/pictures/", import.meta.url).pathname;
const PERSON = { username: "mira", email: "mira@example.org", password: "a letter that nobody opened" };
const TABS = ["conversation", "health", "visualizations", "analysis", "settings"];

let world;
let browser;
let main;

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  world = await startPsyche();
  browser = await launchBrowser();
  main = await openPage(browser);
});

after(async () => {
  await browser?.close();
  if (world) await stopPsyche(world);
});

const messages = (page) => page.locator("[data-message]");
const seqs = (page) => messages(page).evaluateAll((all) => all.map((each) => Number(each.dataset.message)));

/** Waits until at least `count` messages are on the page. */
const spoken = (page, count) =>
  page.waitForFunction((least) => document.querySelectorAll("[data-message]").length >= least, count, {
    timeout: 20_000,
  });

test("a first visit without the link says where the setup link is", async () => {
  const { page } = main;
  await page.goto(world.url);
  await page.getByRole("heading", { name: "Almost there" }).waitFor();
  assert.deepEqual(await violations(page), []);
});

test("a wrong setup code is refused in words", async () => {
  const { page, quietly } = main;
  await quietly(async () => {
    await page.goto(`${world.url}#setup=wrong`);
    await page.reload();
    await fillSetup(page);
    await page.getByRole("alert").first().waitFor();
  });
  assert.match(await page.locator("form").innerText(), /code/);
});

test("first run: the setup link makes the account and signs in", async () => {
  const { page } = main;
  await page.goto(`${world.url}#setup=${encodeURIComponent(SETUP_CODE)}`);
  await page.reload();
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}setup.png` });
  await fillSetup(page);
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  assert.ok(!page.url().includes(SETUP_CODE), "the code stays in the address bar");
});

test("one click starts the demo session, and the agents speak", async () => {
  const { page } = main;
  await page.getByText("No sessions yet").waitFor();
  assert.deepEqual(await violations(page), []);
  await page.getByRole("button", { name: "Start the demo session" }).click();
  await spoken(page, 5);
  const names = await messages(page).locator("header .agent-name").allInnerTexts();
  for (const name of ["Ego", "Shadow", "Persona", "Anima/Animus", "Self"])
    assert.ok(names.includes(name), name);
  assert.match(await page.locator("header").first().innerText(), /Live/);
});

test("words appear while they are spoken", async () => {
  const { page } = main;
  // A model that answers at once has no live tokens to see; the scripted one streams.
  const texts = new Set();
  for (let i = 0; i < 80 && texts.size < 3; i += 1) {
    const live = page.locator(".live p").first();
    const text = await live.innerText({ timeout: 250 }).catch(() => "");
    if (text !== "") texts.add(text);
    await page.waitForTimeout(25);
  }
  assert.ok(texts.size >= 2, `saw ${texts.size} states of a sentence in the making`);
});

test("pause, step, resume and their states", async () => {
  const { page } = main;
  const run = page.getByRole("region", { name: "Run", exact: true });
  await run.getByRole("button", { name: "Pause" }).click();
  await run.getByText("paused").waitFor();
  const before = (await seqs(page)).length;
  await run.getByRole("button", { name: "Step" }).click();
  // A pause can fall within a round; a step then finishes it.
  await spoken(page, before + 1);
  await run.getByText("paused").waitFor();
  await run.getByRole("button", { name: "Resume" }).click();
  await run.getByText("running").waitFor();
});

test("a stimulus is injected, shown with its author, and heard", async () => {
  const { page } = main;
  await page.getByLabel("Text").fill("A bell rings in an empty house.");
  await page.getByLabel("Target").selectOption({ label: "Shadow" });
  await page.getByRole("button", { name: "Inject" }).click();
  const card = page.locator(".card", { hasText: "A bell rings in an empty house." });
  await card.waitFor();
  assert.match(await card.innerText(), /to Shadow, by you/);
  await card.getByText("heard").waitFor({ timeout: 20_000 });
  await page.keyboard.press("i");
  await page.locator("textarea:focus").waitFor();
  await page.keyboard.type("The bell again.");
  await page.keyboard.press("Control+Enter");
  await page.locator(".card", { hasText: "The bell again." }).waitFor();
});

test("Why shows what the agent saw", async () => {
  const { page } = main;
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  await messages(page).last().getByRole("button").click();
  const drawer = page.getByRole("dialog");
  await drawer.getByRole("heading", { name: "What the agent saw" }).waitFor();
  await drawer.locator(".prompt").first().waitFor();
  assert.ok((await drawer.locator(".prompt").count()) >= 2);
  assert.match(await drawer.innerText(), /Latency/);
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press("Escape");
  await drawer.waitFor({ state: "detached" });
});

test("a reload signs in silently, returns to the same place and shows the same messages", async () => {
  const { page } = main;
  const before = await seqs(page);
  await page.reload();
  await spoken(page, Math.min(before.length, 10));
  const after = await seqs(page);
  assert.deepEqual(after, before.slice(-after.length));
});

test("the keys work: tabs, the past, live again, the sheet, the palette", async () => {
  const { page } = main;
  for (const [index, tab] of TABS.entries()) {
    await page.keyboard.press(String(index + 1));
    await page.waitForURL(new RegExp(`/${tab}`));
  }
  await page.keyboard.press("1");
  await page.keyboard.press("Home");
  await page.getByText("You are looking at the past, as of turn 1.").waitFor();
  assert.equal((await seqs(page)).length, 1);
  await page.keyboard.press("End");
  await page.getByText("You are looking at the past").waitFor({ state: "detached" });
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  // Typed, not filled in: the palette must have the focus by itself.
  await page.getByRole("combobox", { name: "Find a command" }).waitFor();
  await page.keyboard.type("health");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/health/);
  await page.keyboard.press("1");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  const why = page.getByRole("dialog", { name: "Why this message" });
  await why.waitFor();
  await page.keyboard.press("Escape");
  await why.waitFor({ state: "detached" });
  const focused = await page.evaluate(() => document.activeElement.dataset.message);
  assert.equal(Number(focused), (await seqs(page)).at(-1), "the focus is back on the message");
});

test("settings change an agent from the next turn, and unsaved changes are guarded", async () => {
  const { page } = main;
  await page.keyboard.press("5");
  const muted = page.getByLabel("Muted");
  await muted.check();
  let asked = "";
  page.once("dialog", (dialog) => {
    asked = dialog.message();
    void dialog.dismiss();
  });
  await page.keyboard.press("2");
  await page.waitForTimeout(200);
  assert.match(asked, /without saving/);
  assert.match(page.url(), /settings/);
  await page.locator("form", { has: muted }).getByRole("button", { name: "Save" }).click();
  await page.getByText(/applies from turn/).waitFor();
  // The change is there once its event has come back: then there is nothing left to save.
  const save = page.locator("form", { has: muted }).locator("button[type=submit]:disabled:not([aria-busy])");
  await save.waitFor();
  await muted.uncheck();
  await page.locator("form", { has: muted }).getByRole("button", { name: "Save" }).click();
  await save.waitFor();
});

test("the server is killed and comes back: stale is shown, then everything is there, once", async () => {
  const { page, quietly } = main;
  await page.keyboard.press("1");
  await page.getByRole("button", { name: "Resume" }).click();
  await spoken(page, (await seqs(page)).length + 2);
  await quietly(async () => {
    await kill(world);
    await page.getByText("Reconnecting: data may be stale").waitFor({ timeout: 1000 });
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("Pause was not done").waitFor();
    const elapsed = page.locator("dt", { hasText: "Elapsed" }).locator("xpath=following-sibling::dd");
    const stood = await elapsed.innerText();
    await page.waitForTimeout(2200);
    assert.equal(await elapsed.innerText(), stood, "running time goes on without the server");
    await launch(world);
    await page.getByText("Live").first().waitFor({ timeout: 15_000 });
    await page.getByText("Pause was not done").waitFor({ state: "detached" });
  });
  await spoken(page, (await seqs(page)).length + 2);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  const seen = await seqs(page);
  assert.equal(new Set(seen).size, seen.length, "a message is shown twice");
  await page.reload();
  await spoken(page, Math.min(seen.length, 10));
  const after = await seqs(page);
  assert.deepEqual(after, seen.slice(-after.length));
});

test("every page: no axe violation, no sideways scroll; pictures in light, dark and narrow", async () => {
  const { page } = main;
  const session = page.url().replace(/#\/s\/([^/]+).*/u, "#/s/$1");
  const looks = [
    ["dark", { width: 1440, height: 900 }, "wide"],
    ["light", { width: 1440, height: 900 }, "wide"],
    ["dark", { width: 390, height: 844 }, "390"],
    ["light", { width: 390, height: 844 }, "390"],
  ];
  for (const [colorScheme, size, name] of looks) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);
    for (const place of ["sessions", ...TABS]) {
      await page.goto(place === "sessions" ? `${world.url}#/` : `${session}/${place}`);
      await page.waitForTimeout(500);
      await settled(page);
      await page.screenshot({ path: `${PICTURES}${place}-${colorScheme}-${name}.png` });
      assert.deepEqual(await violations(page), [], `${place} ${colorScheme} ${name}`);
      assert.equal(await scrollsSideways(page), false, `${place} ${name} scrolls sideways`);
      if (place !== "sessions")
        assert.ok(await fitsWindow(page), `${place} ${name} is higher than the window`);
    }
  }
  await page.setViewportSize({ width: 320, height: 700 });
  for (const place of TABS) {
    await page.goto(`${session}/${place}`);
    await page.waitForTimeout(200);
    assert.equal(await scrollsSideways(page), false, `${place} at 320 px scrolls sideways`);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: "dark" });
});

test("sign-out ends it, a wrong password does not say which field, and signing in returns to the place", async () => {
  const { page, quietly } = main;
  const place = page.url();
  await page.getByLabel(/^Account/).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}sign-in.png` });
  await quietly(async () => {
    await page.getByLabel("User name").fill(PERSON.username);
    await page.getByLabel("Password").fill("not the right password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("User name or password is not right.").waitFor();
  });
  await page.getByLabel("Password").fill(PERSON.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation", { name: "Session" }).waitFor();
  assert.equal(page.url(), place);
});

test("a model that cannot be reached: said where it happened, and the session waits", async () => {
  const { page } = main;
  await page.goto(`${world.url}#/`);
  await page.getByRole("button", { name: "New session" }).click();
  const form = page.getByRole("dialog");
  await form.getByRole("option", { name: "unreachable: nobody" }).waitFor({ state: "attached" });
  await page.keyboard.type("Nobody answers");
  await form.getByLabel("Model").selectOption("unreachable");
  await form.getByRole("button", { name: "Create" }).click();
  await page.getByText("Press Start, and the agents begin").waitFor();
  await page.getByRole("button", { name: "Start" }).click();
  await page.getByText("Ego could not speak").first().waitFor();
  await page.getByText("Paused: the model is not available.").waitFor();
  assert.equal(await page.getByText("Press Start").count(), 0, "what is paused is resumed, not started");
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}unreachable.png` });
  await page.goto(`${world.url}#/`);
  await page.getByRole("button", { name: "Delete Nobody answers…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("link", { name: "Nobody answers" }).waitFor({ state: "detached" });
});

test("a session that does not exist is said to be none", async () => {
  const { page, quietly } = main;
  await quietly(async () => {
    await page.goto(`${world.url}#/s/01890000-0000-7000-8000-000000000000/conversation`);
    await page.getByText("There is no such session").waitFor();
    assert.equal(await page.getByText("Connecting").count(), 0);
    assert.equal(await page.getByLabel("Timeline").count(), 0);
    assert.equal(await page.getByRole("button", { name: "Retry" }).count(), 0);
    assert.deepEqual(await violations(page), []);
    await page.getByRole("button", { name: "To the sessions" }).click();
    await page.getByRole("heading", { name: "Sessions" }).waitFor();
  });
});

test("a session is deleted after a question", async () => {
  const { page } = main;
  await page.goto(`${world.url}#/`);
  await page.getByRole("button", { name: /^Delete/ }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await page.getByText("No sessions yet").waitFor();
});

test("nothing complained: no console error, no page error, no refused content", () => {
  assert.deepEqual(main.complaints, []);
});

async function fillSetup(page) {
  await page.getByLabel("User name").fill(PERSON.username);
  await page.getByLabel("Email").fill(PERSON.email);
  await page.getByLabel("Password").fill(PERSON.password);
  await page.getByRole("button", { name: /Create the account/ }).click();
}
