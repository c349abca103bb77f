// Health, Visualizations, Settings and the user guide, in a real browser against the real program.
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { firstAdmin, PERSON, signInWith } from "./api.mjs";
import { launchBrowser, openPage, scrollsSideways, violations } from "./browser.mjs";
import { startPsyche, stopPsyche } from "./psyche.mjs";

const PICTURES = new URL("../test-results/pictures/", import.meta.url).pathname;
const TURNS = 15;

let world;
let browser;
let main;
let admin;
let session;

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  world = await startPsyche();
  admin = await firstAdmin(world.url);
  session = await admin.call("POST", "/sessions", {
    name: "Instruments",
    session_type: "single_user",
    seed: 7,
    max_rounds: TURNS / 5,
  });
  await admin.call("POST", `/sessions/${session.session_id}/commands`, { command: "start" });
  browser = await launchBrowser();
  main = await openPage(browser);
  await signInWith(main.page, world.url, PERSON.username, PERSON.password);
  await main.page.getByRole("heading", { name: "Sessions" }).waitFor();
});

after(async () => {
  await browser?.close();
  if (world) await stopPsyche(world);
});

async function open(tab) {
  await main.page.goto(`${world.url}#/s/${session.session_id}/${tab}`);
  await main.page.getByRole("navigation", { name: "Session" }).waitFor();
}

test("Health: six gauges, each with a question mark that leads to its explanation and back", async () => {
  const { page } = main;
  await open("health");
  await page.getByText(`${TURNS} / ${TURNS}`).waitFor({ timeout: 30_000 });
  for (const name of ["Conflict", "Engagement", "Diversity", "Repetition", "Intensity", "Stagnation"])
    await page.getByRole("region", { name, exact: true }).waitFor();
  assert.deepEqual(await violations(page), []);
  await page.getByRole("link", { name: /^What is Stagnation/ }).click();
  await page.locator("article h1, article h2").first().waitFor();
  assert.match(await page.locator("article").innerText(), /[Ss]tagnation/);
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}help.png` });
  await page.getByRole("link", { name: "Back to the session" }).click();
  await page.waitForURL(/\/health/);
});

test("the guide: every page opens, and a page that is none says so", async () => {
  const { page } = main;
  await page.goto(`${world.url}#/help/measures`);
  const pages = page.getByRole("navigation", { name: "User guide" }).getByRole("link");
  await pages.first().waitFor();
  const addresses = await pages.evaluateAll((links) => links.map((link) => link.getAttribute("href")));
  const tooLong = await pages.evaluateAll((links) =>
    links.filter((link) => link.scrollWidth > link.clientWidth).map((link) => link.textContent),
  );
  assert.deepEqual(tooLong, [], "run over the words beside them");
  for (const address of addresses) {
    await page.goto(`${world.url}${address}`);
    await page.locator(`nav a[href="${address}"][aria-current=page]`).waitFor();
    await page.locator("article h1").waitFor();
    assert.equal(await scrollsSideways(page), false, address);
    assert.equal(await page.evaluate(() => scrollY), 0, address);
  }
  await page.goto(`${world.url}#/help/nothing`);
  await page.getByRole("heading", { name: "There is no such page" }).waitFor();
});

test("a hint is dismissed once and stays away", async () => {
  const { page } = main;
  await open("health");
  const hint = page.getByRole("complementary", { name: "How to read this tab" });
  await hint.getByRole("button", { name: "Got it" }).click();
  await hint.waitFor({ state: "detached" });
  await page.reload();
  await page.getByRole("region", { name: "Stagnation", exact: true }).waitFor();
  assert.equal(await hint.count(), 0);
  await open("settings");
  await hint.waitFor();
});

test("the network: every layout on command, a filter that shows nothing, and back", async () => {
  const { page } = main;
  await open("visualizations");
  const graph = page.getByRole("img", { name: /^Network of 5 agents with [1-9]/ });
  await graph.waitFor();
  const drawn = () =>
    graph.evaluate((node) => [...node.querySelectorAll("canvas")].map((each) => each.toDataURL()).join());
  const pentagon = await drawn();
  for (const layout of ["Circle", "Tree", "Forces", "Forces, spread out"]) {
    await page.getByLabel("Layout").selectOption({ label: layout });
    await page.waitForFunction(
      ([before]) =>
        [...document.querySelectorAll("[role=img] canvas")].map((each) => each.toDataURL()).join() !== before,
      [pentagon],
    );
  }
  assert.equal(await page.getByText("This layout could not be loaded").count(), 0);
  await page.getByLabel(/^Strength at least/).fill("1");
  await page.getByText("No path passes this filter.").waitFor();
  await page.getByRole("button", { name: "Show all" }).click();
  await page.getByText("No path passes this filter.").waitFor({ state: "detached" });
  assert.deepEqual(await violations(page), []);
});

test("less motion is honoured", async () => {
  const { page } = main;
  await page.emulateMedia({ reducedMotion: "reduce" });
  const motion = page.getByLabel(/Show messages moving/);
  await page.waitForFunction((box) => box.disabled && !box.checked, await motion.elementHandle());
  await page.emulateMedia({ reducedMotion: "no-preference" });
  await page.waitForFunction((box) => !box.disabled && box.checked, await motion.elementHandle());
});

test("a chart turns into its table by its key, and pressing it moves the playhead", async () => {
  const { page } = main;
  const chart = page.getByRole("figure", { name: /^Stagnation, standardised/ });
  await chart.getByRole("button", { name: "Table" }).click();
  await chart.getByRole("table").waitFor();
  await chart.getByRole("button", { name: "Chart" }).click();
  await chart.getByRole("table").waitFor({ state: "detached" });
  await chart.focus();
  await page.keyboard.press("t");
  await chart.getByRole("table").waitFor();
  assert.ok((await chart.getByRole("row").count()) > 2);
  await page.keyboard.press("t");
  await chart.getByRole("table").waitFor({ state: "detached" });
  const sentiment = page.getByRole("figure", { name: /^Sentiment of each agent/ });
  await sentiment.scrollIntoViewIfNeeded();
  const box = await sentiment.locator(".u-over").boundingBox();
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  await page.getByText("You are looking at the past").waitFor();
  await page.screenshot({ path: `${PICTURES}visualizations-past.png` });
  await page.keyboard.press("End");
  await page.getByText("You are looking at the past").waitFor({ state: "detached" });
});

test("paths are edited as a matrix, and each keeps how far it hears", async () => {
  const { page } = main;
  await open("settings");
  const form = page.getByRole("region", { name: "Paths" });
  await form.getByLabel("Path from Ego to Shadow").selectOption("normal");
  await form.getByText("Changes are not saved.").waitFor();
  await form.getByRole("button", { name: "Save" }).click();
  await form.getByText(/applies from turn/).waitFor();
  const state = await admin.call("GET", `/sessions/${session.session_id}/state`);
  const path = state.connections.find(({ from, to }) => from === "ego" && to === "shadow");
  assert.equal(path.kind, "normal");
  const { items } = await admin.call("GET", `/sessions/${session.session_id}/events?type=paths_changed`);
  const cast = await admin.call("GET", "/casts/jungian");
  const before = cast.paths.find(({ from, to }) => from === "self" && to === "ego");
  assert.deepEqual(
    items.at(-1).paths.find(({ from, to }) => from === "self" && to === "ego"),
    before,
  );
  await form.getByRole("button", { name: "Back to the cast’s paths" }).click();
  await form.getByRole("button", { name: "Save" }).click();
  await form.locator("button[type=submit]:disabled:not([aria-busy])").waitFor();
});

test("thresholds and presets are changed during a session, and act", async () => {
  const { page } = main;
  const id = session.session_id;
  const changed = async () =>
    (await admin.call("GET", `/sessions/${id}/events?type=settings_changed`)).items.at(-1);
  const thresholds = page.getByRole("region", { name: "Emergency thresholds" });
  await thresholds.getByLabel("Opens above").fill("0.9");
  await thresholds.getByRole("button", { name: "Save" }).click();
  // An alert below what opens is none: the browser says so, and nothing is sent.
  const alerts = thresholds.getByLabel("Alerts above");
  assert.equal(await alerts.evaluate((field) => field.validity.rangeUnderflow), true);
  await alerts.fill("0.95");
  await thresholds.getByRole("button", { name: "Save" }).click();
  await thresholds.getByText(/applies from turn/).waitFor();
  assert.deepEqual((await changed()).thresholds, { emergency: 0.9, critical: 0.95, path_switch_delay: 2 });

  const presets = page.getByRole("region", { name: "Stimulus presets" });
  await presets.getByRole("button", { name: "Add a preset" }).click();
  const added = presets.getByRole("group", { name: /^Preset/ }).last();
  assert.equal(
    await added.getByLabel("Preset’s name").evaluate((node) => node === document.activeElement),
    true,
  );
  await page.keyboard.type("A drawer");
  await added.getByLabel("What happens").fill("A drawer that was locked stands open.");
  await presets.getByRole("button", { name: "Save" }).click();
  await presets.getByText("Saved: offered from now on.").waitFor();
  const { stimuli } = await changed();
  assert.equal(stimuli.at(-1).text, "A drawer that was locked stands open.");
  assert.deepEqual(await violations(page), []);

  await open("health");
  await page.getByText(/0\.90/).first().waitFor();
  await open("conversation");
  await page.getByLabel("Kind").selectOption({ label: "A drawer" });
  assert.equal(await page.getByLabel("Text").inputValue(), "A drawer that was locked stands open.");
  await open("settings");
});

test("a prompt shows how it differs from the cast's", async () => {
  const { page } = main;
  const prompt = page.getByLabel("System prompt");
  const words = await prompt.inputValue();
  await page.getByText("As in the cast.").waitFor();
  await prompt.fill(`${words}\nSpeak of the sea.`);
  await page.getByText("Differs from the cast: 1 line.").waitFor();
  await page.getByRole("button", { name: "Show the difference" }).click();
  await page
    .getByRole("group", { name: /^Difference from/ })
    .getByText("Speak of the sea.")
    .waitFor();
  assert.deepEqual(await violations(page), []);
  await page.getByRole("button", { name: "Back to the cast’s values" }).click();
  assert.equal(await prompt.inputValue(), words);
});

test("a budget is set, and lifted again", async () => {
  const { page } = main;
  const form = page.getByRole("region", { name: "Session", exact: true });
  const saved = form.locator("button[type=submit]:disabled:not([aria-busy])");
  await form.getByLabel("Tokens at most").fill("900000");
  await form.getByRole("button", { name: "Save" }).click();
  await saved.waitFor();
  assert.equal((await admin.call("GET", `/sessions/${session.session_id}`)).budget.tokens, 900_000);
  await form.getByLabel("Tokens at most").fill("");
  await form.getByRole("button", { name: "Save" }).click();
  await saved.waitFor();
  assert.equal((await admin.call("GET", `/sessions/${session.session_id}`)).budget.tokens ?? null, null);
});

test("a cast goes out as a file and comes in as another; a faulty one is refused by line", async () => {
  const { page, quietly } = main;
  const panel = page.getByRole("region", { name: "Cast as a file" });
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    panel.getByRole("button", { name: "As it is now (JSON)" }).click(),
  ]);
  const cast = JSON.parse(await readFile(await download.path(), "utf8"));
  assert.equal(cast.agents.length, 5);
  const file = join(world.dir, "sea.json");
  await writeFile(file, JSON.stringify({ ...cast, id: "sea", name: "The sea" }));
  await panel.getByLabel("Import a cast").setInputFiles(file);
  await panel.getByText("The sea is stored").waitFor();
  assert.equal((await admin.call("GET", "/casts/sea")).paths.length, cast.paths.length);
  const broken = join(world.dir, "broken.toml");
  await writeFile(broken, 'id = "broken"\nname = "Broken"\nagents = 3\n');
  await quietly(async () => {
    await panel.getByLabel("Import a cast").setInputFiles(broken);
    await panel.getByText("The cast was not taken").waitFor();
  });
  assert.match(await panel.getByRole("listitem").first().innerText(), /line 3/);
  const [toml] = await Promise.all([
    page.waitForEvent("download"),
    panel.getByRole("button", { name: "As stored (TOML)" }).click(),
  ]);
  assert.match(await readFile(await toml.path(), "utf8"), /^id = "jungian"/m);
});

test("a session is reset, and deleted only by its name", async () => {
  const { page } = main;
  await page.getByRole("button", { name: "Reset…" }).click();
  const reset = page.getByRole("dialog", { name: "Reset this session?" });
  assert.deepEqual(await violations(page), []);
  await reset.getByRole("button", { name: "Reset this session?" }).click();
  await reset.waitFor({ state: "detached" });
  await page.locator("header").getByText("created").waitFor();
  await page.getByRole("button", { name: "Delete…" }).click();
  const gone = page.getByRole("dialog", { name: "Delete this session?" });
  const button = gone.getByRole("button", { name: "Delete for good" });
  assert.equal(await button.isDisabled(), true);
  await gone.getByLabel(/^Type the name/).fill("Instruments");
  await button.click();
  await page.getByText("No sessions yet").waitFor();
});

test("nothing complained: no console error, no page error, no refused content", () => {
  assert.deepEqual(main.complaints, []);
});
