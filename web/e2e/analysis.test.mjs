// Analysis and Export, in a real browser against the real program.
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { firstAdmin, PERSON, signInWith } from "./api.mjs";
import { launchBrowser, openPage, scrollsSideways, violations } from "./browser.mjs";
import { startPsyche, stopPsyche } from "./psyche.mjs";

const PICTURES = new URL("../test-results/pictures/", import.meta.url).pathname;
const ROUNDS = 12;

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
    name: "Numbers",
    session_type: "single_user",
    seed: 7,
    max_rounds: ROUNDS,
    tags: ["plain"],
  });
  const command = (body) => admin.call("POST", `/sessions/${session.session_id}/commands`, body);
  await command({ command: "inject_stimulus", args: { kind: "memory", text: "A smell of bread." } });
  await command({ command: "start" });
  browser = await launchBrowser();
  main = await openPage(browser);
  await main.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await signInWith(main.page, world.url, PERSON.username, PERSON.password);
  await main.page.getByRole("heading", { name: "Sessions" }).waitFor();
});

after(async () => {
  await browser?.close();
  if (world) await stopPsyche(world);
});

const open = (tab) => main.page.goto(`${world.url}#/s/${session.session_id}/${tab}`);
const panel = (name) => main.page.getByRole("region", { name, exact: true });

test("the analysis is computed by the server and drawn under the content policy", async () => {
  const { page } = main;
  await open("conversation");
  await page.getByText("all rounds are done").first().waitFor({ timeout: 60_000 });
  const asked = [];
  page.on("request", (request) => {
    if (/plotly/u.test(request.url())) asked.push(request.url());
  });
  await open("health");
  assert.deepEqual(asked, [], "Plotly is fetched before it is needed");
  await open("analysis");
  for (const name of ["Course and turning points", "Before and after", "Trends", "Speaking shares"])
    await panel(name).waitFor();
  await panel("Speaking shares").locator("svg.main-svg").first().waitFor();
  assert.equal(asked.length, 1);
  assert.match(await page.locator("main").innerText(), /Events 1 to \d+: 60 utterances/);
  assert.deepEqual(await violations(page), []);
  assert.equal(await scrollsSideways(page), false);
  await page.screenshot({ path: `${PICTURES}analysis-numbers.png` });
});

test("a figure has its table, and both its copies", async () => {
  const { page } = main;
  const shares = panel("Speaking shares");
  await shares.getByRole("button", { name: "Copy as CSV" }).click();
  await shares.getByText("Copied").waitFor();
  const csv = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(csv, /^Speaker,Utterances,Share/);
  assert.equal(csv.trim().split("\r\n").length, 6);
  await shares.getByRole("button", { name: "Copy as SVG" }).click();
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).startsWith("<svg"));
  await shares.getByRole("figure").focus();
  await page.keyboard.press("t");
  assert.equal(await shares.getByRole("row").count(), 6);
  await page.keyboard.press("t");
  await shares.locator("svg.main-svg").first().waitFor();
});

test("an intervention leads to its turn", async () => {
  const { page } = main;
  await panel("Before and after")
    .getByRole("button", { name: /^turn \d+/ })
    .first()
    .click();
  await page.getByText("You are looking at the past").waitFor();
  await page.keyboard.press("End");
});

test("the self-test says what the server read", async () => {
  const { page } = main;
  const tests = panel("Self-test");
  await tests.getByRole("button", { name: "Read them now" }).click();
  const { ok, rows } = await admin.call("GET", "/analysis/self-test");
  const bad = rows.filter((row) => !row.ok).length;
  const verdict = ok
    ? /All \d+ readings lie in their bands/
    : new RegExp(`${bad} of ${rows.length} readings outside`, "u");
  await tests.getByText(verdict).first().waitFor({ timeout: 60_000 });
  assert.equal(await tests.getByRole("row").count(), rows.length + 1);
  assert.deepEqual(await violations(page), []);
});

test("a model's second opinion: said what it costs, asked on request alone, and shown beside the rules", async () => {
  const { page } = main;
  const calls = [];
  page.on("request", (request) => {
    if (/analysis\/judge/u.test(request.url())) calls.push(request.url());
  });
  const judge = panel("A model’s second opinion");
  await judge.getByText(/may take up to two minutes/).waitFor();
  assert.deepEqual(calls, [], "it is asked before anybody wants it");
  await judge.getByLabel("Utterances").fill("12");
  await judge.getByText(/Asks the model 12 times/).waitFor();
  await judge.getByRole("button", { name: "Ask the model" }).click();
  await judge.getByText(/Spent: \d/).waitFor({ timeout: 60_000 });
  assert.equal(calls.length, 1);
  const each = judge.getByRole("group", { name: "Each rated utterance" });
  assert.equal(await each.getByRole("row").count(), 13);
  assert.deepEqual(await violations(page), []);
  assert.equal(await scrollsSideways(page), false);
  await page.screenshot({ path: `${PICTURES}analysis-judge.png` });
});

test("a judge who cannot be reached is said where it happened, and can be asked again", async () => {
  const { page, quietly } = main;
  const judge = panel("A model’s second opinion");
  await quietly(async () => {
    await page.route(/analysis\/judge/u, (route) => route.abort());
    await judge.getByRole("button", { name: "Ask the model" }).click();
    await judge.getByText("The model was not asked").waitFor();
    assert.deepEqual(await violations(page), []);
    await page.unroute(/analysis\/judge/u);
  });
  await judge.getByRole("button", { name: "Retry" }).click();
  await judge.getByText(/Spent: \d/).waitFor({ timeout: 60_000 });
});

test("many sessions: in the background, with progress, and the filter that finds none says so", async () => {
  const { page } = main;
  const history = panel("Over sessions");
  await history.getByRole("button", { name: "Compute" }).click();
  await history.getByText("1 run", { exact: true }).waitFor({ timeout: 60_000 });
  await history.getByRole("table").first().waitFor();
  await history.getByLabel("Tags").fill("no such tag");
  await history.getByRole("button", { name: "Compute" }).click();
  await history.getByText("No session fits this filter.").waitFor({ timeout: 60_000 });
  assert.deepEqual(await violations(page), []);
});

test("export: a look first, then the file under the server's name; the log comes whole", async () => {
  const { page } = main;
  await open("settings");
  const form = panel("Export");
  await form.getByRole("radio", { name: /^Markdown/ }).check();
  await form.getByRole("button", { name: "Preview" }).click();
  await form.locator("pre").waitFor();
  assert.deepEqual(await violations(page), []);
  await form.getByRole("radio", { name: /^JSONL/ }).check();
  assert.equal(await form.getByLabel("who people are").isDisabled(), true);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    form.getByRole("button", { name: "Download" }).click(),
  ]);
  assert.match(download.suggestedFilename(), /\.jsonl$/);
  const { seq } = await admin.call("GET", `/sessions/${session.session_id}`);
  await form.getByText(`: ${seq} events`).waitFor();
  const lines = (await readFile(await download.path(), "utf8")).trim().split("\n");
  assert.ok(lines.length >= seq);
});

test("export of some turns asks for their events only", async () => {
  const { page } = main;
  const form = panel("Export");
  await form.getByRole("radio", { name: /^CSV/ }).check();
  await form.getByLabel("Range").selectOption("turns");
  await form.getByLabel("From turn").fill("2");
  await form.getByLabel("To turn").fill("3");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    form.getByRole("button", { name: "Download" }).click(),
  ]);
  const rows = (await readFile(await download.path(), "utf8")).trim().split(/\r?\n/u);
  assert.equal(rows.filter((row) => !row.startsWith("#")).length, 3, "a head and two utterances");
  await form.getByLabel("From turn").fill("9");
  await form.getByText("“From” must not be after “to”.").waitFor();
});

test("every format gives a file of its kind, and only text is looked at first", async () => {
  const { page } = main;
  await page.reload();
  const form = panel("Export");
  for (const [name, head, legible] of [
    ["JSONL", /^\{"format":"psyche-log"/u, true],
    ["JSON", /^\{/u, true],
    ["CSV", /^seq,timestamp,/u, true],
    ["Parquet", /^PAR1/u, false],
    ["Markdown", /^---\n/u, true],
    ["HTML", /^<!doctype html>/iu, true],
    ["PDF", /^%PDF-/u, false],
  ]) {
    await form.getByRole("radio", { name: new RegExp(`^${name} `, "u") }).check();
    assert.equal(await form.getByRole("button", { name: "Preview" }).isEnabled(), legible, name);
    const [download] = await Promise.all([
      page.waitForEvent("download", { timeout: 60_000 }),
      form.getByRole("button", { name: "Download" }).click(),
    ]);
    assert.match(await readFile(await download.path(), "latin1"), head);
    await form.getByText(`${download.suggestedFilename()}: `).waitFor();
  }
});

test("an export that fails says so, and can be tried again", async () => {
  const { page, quietly } = main;
  const form = panel("Export");
  await quietly(async () => {
    await page.route(/\/export\?/u, (route) => route.abort());
    await form.getByRole("button", { name: "Download" }).click();
    await form.getByText("The session was not exported").waitFor();
    assert.deepEqual(await violations(page), []);
    await page.unroute(/\/export\?/u);
  });
  await Promise.all([page.waitForEvent("download"), form.getByRole("button", { name: "Retry" }).click()]);
  await form.getByText("The session was not exported").waitFor({ state: "detached" });
});

test("nothing complained: no console error, no page error, no refused content", () => {
  assert.deepEqual(main.complaints, []);
});
