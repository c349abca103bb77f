// Sixty payloads in everything people type and models say: none runs, no request leaves, no rule of the content
// policy is even tried. Names, titles, tags, stimuli, situations, annotations, casts, and words whole and in pieces.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { firstAdmin, PERSON, signInWith, Caller } from "./api.mjs";
import { launchBrowser, openPage, readBack } from "./browser.mjs";
import { startChat } from "./chat.mjs";
import { PAYLOADS } from "./payloads.mjs";
import { startPsyche, stopPsyche } from "./psyche.mjs";

const SHAPES = ["circle", "square", "diamond", "star", "hexagon"];
const COLOUR = { dark: "#99b7ee", light: "#033664" };
const AGENTS = 5;

let chat;
let world;
let browser;
let admin;
let main;
/** Every payload once whole and once cut in pieces, in the order in which the agents say them. */
const words = PAYLOADS.flatMap((payload) => [[payload], cut(payload)]);
let spoken = 0;
const ran = [];
const left = [];

before(async () => {
  chat = await startChat(() => words[spoken++ % words.length]);
  const model = `provider = "openai"\nbase_url = "${chat.url}"\nallow_http_hosts = ["127.0.0.1"]\nmodel = "payloads"`;
  world = await startPsyche({ tables: `[models.default]\n${model}` });
  admin = await firstAdmin(world.url);
  browser = await launchBrowser();
  main = await openPage(browser);
  await watch(main.page, new URL(world.url).host);
});

after(async () => {
  await browser?.close();
  if (world) await stopPsyche(world);
  await chat?.stop();
});

/** Cut where a careless reader would be fooled: within tags and within names. */
function cut(payload) {
  const pieces = [];
  for (let at = 0; at < payload.length; at += 3) pieces.push(payload.slice(at, at + 3));
  return pieces;
}

async function watch(page, host) {
  await page.exposeFunction("__x", () => ran.push("a script ran"));
  page.on("dialog", (dialog) => {
    ran.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["blob:", "data:"].includes(url.protocol) && url.host !== host) left.push(request.url());
  });
  page.on("websocket", (socket) => {
    if (new URL(socket.url()).host !== host) left.push(socket.url());
  });
  page.on("popup", (popup) => left.push(`a window: ${popup.url()}`));
}

/** Without control characters and not too long: what a field takes. */
const fit = (text, most) => text.replaceAll("\t", " ").slice(0, most).trim();

const castOf = (id, five) => ({
  id,
  name: fit(five[0], 80),
  description: five[1],
  situation: five[2],
  agents: five.map((payload, index) => ({
    id: `agent-${index}`,
    name: fit(payload, 80),
    colour: COLOUR,
    shape: SHAPES[index],
    system_prompt: payload,
  })),
  paths: [{ from: "agent-0", to: "agent-1", kind: "normal" }],
  stimuli: five.map((payload) => ({ kind: "custom", name: fit(payload, 80), text: payload })),
});

async function settled(page) {
  await page.waitForLoadState("networkidle");
  await page.waitForTimeout(150);
}

const plain = (text) => text.replace(/\s+/gu, " ").trim();

/** How many of the payloads stand on the page as plain words. */
async function shown(page, texts) {
  const words = plain(await page.locator("body").innerText());
  return texts.filter((text) => words.includes(plain(text))).length;
}

/** Which of the payloads are plain words in no such place of the conversation, read back to its beginning. */
async function unread(page, where) {
  const missing = new Set(PAYLOADS);
  await readBack(page, async () => {
    // Not innerText: what is scrolled away is not laid out.
    const words = plain((await page.locator(where).allTextContents()).join("\n"));
    for (const payload of missing) if (words.includes(plain(payload))) missing.delete(payload);
  });
  return [...missing];
}

/** Writes a payload into a page that parses it, and tells whether anything came of it. */
async function bites(context, payload) {
  const page = await context.newPage();
  let hits = 0;
  await page.route("**", (route) => {
    if (route.request().url().includes("evil.test")) hits += 1;
    return route.fulfill({ body: "<p>", contentType: "text/html" });
  });
  page.on("dialog", (dialog) => {
    hits += 1;
    void dialog.dismiss();
  });
  await page.exposeFunction("__x", () => (hits += 1));
  await page.goto("http://victim.test/");
  await page
    .evaluate((html) => {
      document.open();
      document.write(`<p title="">${html}`);
      document.close();
    }, payload)
    .catch(() => undefined);
  for (let wait = 0; wait < 20 && hits === 0; wait += 1) await page.waitForTimeout(25);
  await page.close();
  return hits > 0;
}

test("the payloads bite where HTML is parsed: this test would notice", async () => {
  const context = await browser.newContext();
  let bitten = 0;
  for (let at = 0; at < PAYLOADS.length; at += 10) {
    const ten = PAYLOADS.slice(at, at + 10).map((payload) => bites(context, payload));
    bitten += (await Promise.all(ten)).filter(Boolean).length;
  }
  await context.close();
  assert.ok(bitten >= 40, `only ${bitten} of ${PAYLOADS.length} do anything at all`);
});

test("what agents say, whole and in pieces, is words", async () => {
  const { page } = main;
  await signInWith(page, world.url, PERSON.username, PERSON.password);
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  const session = await admin.call("POST", "/sessions", {
    session_type: "shared",
    name: fit(PAYLOADS[4], 200),
    situation: PAYLOADS.join("\n"),
    max_rounds: words.length / AGENTS,
  });
  await page.goto(`${world.url}#/s/${session.session_id}/conversation`);
  await page.getByText("Press Start").waitFor();
  assert.equal(await page.title(), `${fit(PAYLOADS[4], 200)} · psyche`);
  await admin.call("POST", `/sessions/${session.session_id}/commands`, { command: "start" });
  await page.getByText("Stopped: all rounds are done").waitFor({ timeout: 60_000 });
  assert.deepEqual(await unread(page, "[data-message] .words"), [], "said, and not to be read");
  await settled(page);
  for (const tab of ["health", "visualizations", "analysis", "settings"]) {
    await page.goto(`${world.url}#/s/${session.session_id}/${tab}`);
    await settled(page);
  }
  await page.goto(`${world.url}#/s/${session.session_id}/conversation`);
  await page.locator("[data-message]").last().getByRole("button").click();
  await page.getByRole("heading", { name: "What the agent saw" }).waitFor();
  await page.getByRole("dialog").locator(".prompt").first().waitFor();
  await settled(page);
  await page.keyboard.press("Escape");
});

test("stimuli, annotations and situations are words", async () => {
  const { page } = main;
  const { session_id: id } = await admin.call("POST", "/sessions", {
    session_type: "shared",
    name: "Typed",
    max_rounds: 1,
  });
  for (const payload of PAYLOADS) {
    const stimulus = { command: "inject_stimulus", args: { kind: "custom", text: payload } };
    await admin.call("POST", `/sessions/${id}/commands`, stimulus);
    await admin.call("POST", `/sessions/${id}/annotations`, {
      seq: 1,
      text: payload,
      tags: [fit(payload, 40)],
    });
  }
  for (const payload of PAYLOADS.slice(0, 10))
    await admin.call("PATCH", `/sessions/${id}`, { situation: payload, name: fit(payload, 200) });
  await page.goto(`${world.url}#/s/${id}/conversation`);
  await page.locator(".card").first().waitFor();
  assert.deepEqual(await unread(page, ".card .text"), [], "typed, and not to be read");
  assert.deepEqual(await unread(page, "main ol li li"), [], "noted, and not to be read");
  await settled(page);
});

test("names, titles, tags and situations in the list of sessions are words", async () => {
  const { page } = main;
  for (const payload of PAYLOADS)
    await admin.call("POST", "/sessions", {
      session_type: "single_user",
      name: fit(payload, 200),
      situation: payload,
      tags: [fit(payload, 40)],
    });
  await page.goto(`${world.url}#/`);
  await page.getByRole("button", { name: "Show more" }).click();
  await page.waitForFunction((all) => document.querySelectorAll("tbody tr").length > all, PAYLOADS.length);
  await settled(page);
  const names = PAYLOADS.map((payload) => fit(payload, 200));
  assert.equal(await shown(page, names), PAYLOADS.length);
  await page
    .getByRole("button", { name: /^Delete/ })
    .first()
    .click();
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
});

/** Names are words in figures too, whose library would make tags and links of them. */
async function figured(page, five) {
  const ticks = (await page.locator(".ytick text").allTextContents()).map(plain);
  const missing = five.map((payload) => plain(fit(payload, 80))).filter((name) => !ticks.includes(name));
  assert.deepEqual(missing, [], "not to be read in a figure");
  assert.equal(await page.locator(".js-plotly-plot a").count(), 0);
}

test("casts made of payloads: agents, prompts, presets, on every tab", async () => {
  const { page, quietly } = main;
  for (let at = 0; at < PAYLOADS.length; at += AGENTS) {
    const five = PAYLOADS.slice(at, at + AGENTS);
    const cast = castOf(`cast-${at}`, five);
    // Stored like a cast, or brought along by the session alone.
    const stored = at > 0;
    if (stored) await admin.call("POST", "/casts", cast);
    const { session_id: id } = await admin.call("POST", "/sessions", {
      session_type: "single_user",
      name: fit(five[0], 200),
      max_rounds: 1,
      ...(stored ? { cast_id: cast.id } : { cast }),
    });
    await admin.call("POST", `/sessions/${id}/commands`, { command: "start" });
    const visit = async () => {
      for (const tab of ["conversation", "health", "visualizations", "analysis", "settings"]) {
        await page.goto(`${world.url}#/s/${id}/${tab}`);
        if (tab === "conversation") await page.getByText("Stopped: all rounds are done").waitFor();
        if (tab === "analysis") await page.locator(".ytick text").first().waitFor();
        await settled(page);
        if (tab === "analysis") await figured(page, five);
      }
    };
    // The page asks for the stored cast, and the browser's console notes that there is none.
    await (stored ? visit() : quietly(visit));
    const names = five.map((payload) => fit(payload, 80));
    assert.equal(await shown(page, names), AGENTS, `the agents of cast ${at} are not in its settings`);
  }
});

test("people: names, addresses and devices are words on every page about them", async () => {
  const { page } = main;
  await assert.rejects(
    admin.call("POST", "/users", { username: "<svg>", email: "a@example.org", role: "observer" }),
    { status: 422 },
  );
  const everybody = [];
  for (const [at, payload] of PAYLOADS.entries()) {
    const email = `${payload.replace(/[\s@]/gu, "")}@example.org`;
    const { user } = await admin.call("POST", "/users", { username: `p${at}`, email, role: "observer" });
    const display_name = fit(payload, 80);
    await admin.call("PATCH", `/users/${user.user_id}`, { display_name });
    everybody.push(display_name);
  }
  await page.goto(`${world.url}#/admin/users`);
  await page.getByText("p59", { exact: true }).waitFor();
  await settled(page);
  assert.equal(await shown(page, everybody), PAYLOADS.length);
  await page.getByRole("button", { name: "p12", exact: false }).first().click();
  await page.getByRole("dialog").waitFor();
  await settled(page);
  await page.keyboard.press("Escape");
  // What strangers type ends up in the record of refused sign-ins.
  for (const at of [0, 12, 26])
    await assert.rejects(
      new Caller(world.url, { "User-Agent": PAYLOADS[at] }).signIn(PAYLOADS[at], PAYLOADS[at]),
      { status: 401 },
    );
  const strange = new Caller(world.url, { "User-Agent": PAYLOADS[12] });
  await strange.signIn(PERSON.username, PERSON.password, { device_id: PAYLOADS[26] });
  await admin.call("PATCH", "/auth/me", { display_name: fit(PAYLOADS[13], 80) });
  await page.reload();
  await page.goto(`${world.url}#/account/devices`);
  await page.getByText(PAYLOADS[26]).waitFor();
  assert.equal(await shown(page, [PAYLOADS[12], PAYLOADS[26]]), 2);
});

test("every page", async () => {
  const { page, complaints } = main;
  const { items } = await admin.call("GET", "/sessions?limit=1");
  const places = [
    "",
    ...["profile", "password", "devices", "factor", "privacy"].map((section) => `#/account/${section}`),
    ...["users", "roles", "blocked", "alerts", "audit", "settings"].map((section) => `#/admin/${section}`),
    ...["conversation", "health", "visualizations", "analysis", "settings"].map(
      (tab) => `#/s/${items[0].session_id}/${tab}`,
    ),
    "api/docs",
    "api/redoc",
  ];
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    for (const place of places) {
      await page.goto(`${world.url}${place}`);
      await settled(page);
      assert.deepEqual(complaints, [], `${place} in ${colorScheme}`);
    }
  }
  await page.goto(`${world.url}#/s/${items[0].session_id}/conversation`);
  await page.getByRole("button", { name: "Share…" }).click();
  await page.getByRole("dialog").getByText("owner").waitFor();
  await page.keyboard.press("Escape");
  await page.getByLabel(/^Account/).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  for (const place of ["", "#setup=<script>__x()</script>", "#reset=<script>__x()</script>", "#/register"]) {
    await page.goto(`${world.url}${place}`);
    await page.reload();
    await settled(page);
  }
});

test("nothing ran, nothing left, nothing was refused by the content policy", () => {
  assert.deepEqual(ran, []);
  assert.deepEqual(left, []);
  assert.deepEqual(main.complaints, []);
});
