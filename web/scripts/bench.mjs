// What the dashboard costs: while 200 and 1,000 events a second come through the real program into a real browser, and
// with a long session in it. Usage: node scripts/bench.mjs [--seconds N] [--tab conversation] [--rates 200,1000]
// [--utterances 10000]; no rates or no utterances (0) leave that part out.
// `PSYCHE_BIN` names the program, `CHROMIUM` the browser, `WEB_DIST` another build than the one inside the program.
import { parseArgs } from "node:util";
import { firstAdmin, PERSON, signInWith } from "../e2e/api.mjs";
import { launchBrowser, openPage } from "../e2e/browser.mjs";
import { startPsyche, stopPsyche } from "../e2e/psyche.mjs";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "20" },
    tab: { type: "string", default: "conversation" },
    rates: { type: "string", default: "200,1000" },
    utterances: { type: "string", default: "10000" },
  },
});
const SECONDS = Number(values.seconds);
const RATES = values.rates.split(",").map(Number).filter(Boolean);
const UTTERANCES = Number(values.utterances);
const AGENTS = 5;
const SEEKS = 100;
/** How near to the wanted rate is near enough, and how often it is tried. */
const NEAR = 0.08;
const TRIES = 12;
/** Promises of the design, for the rate of 200 and for a long session. */
const BUDGET = { p50: 25, p99: 100, script: 100, longPer10s: 1 };
const LONG_BUDGET = { openMs: 1500, seekMax: 50, heapMB: 150 };

const world = await startPsyche({ tables: '[models.default]\nprovider = "scripted"\nlatency_ms = 0\n' });
const browser = await launchBrowser();
try {
  const admin = await firstAdmin(world.url);
  const rows = [];
  for (const rate of RATES) rows.push(await measure(admin, rate));
  report(rows);
  if (UTTERANCES > 0) reportLong(await measureLong(admin));
} finally {
  await browser.close();
  await stopPsyche(world);
}

async function measure(admin, rate) {
  const session = await admin.call("POST", "/sessions", {
    name: `${rate} events a second`,
    session_type: "single_user",
    seed: 7,
    pacing_ms: Math.round(6000 / rate),
  });
  const path = `/sessions/${session.session_id}`;
  const seq = async () => (await admin.call("GET", path)).seq;
  await admin.call("POST", `${path}/commands`, { command: "start" });
  const got = await steer(admin, path, rate, seq);

  const { context, page, complaints } = await openPage(browser);
  await signInWith(page, world.url, PERSON.username, PERSON.password);
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  await page.goto(`${world.url}#/s/${session.session_id}/${values.tab}`);
  // Measured is what comes, not the arrival.
  await page.waitForFunction(whole, null, { timeout: 60_000 });
  await page.waitForTimeout(2000);
  await page.evaluate(watch);
  const devtools = await context.newCDPSession(page);
  // Time of the processor: what others take from it meanwhile is no cost of the page.
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  const before = await reading(devtools);
  const first = await seq();
  await page.waitForTimeout(SECONDS * 1000);
  const came = (await seq()) - first;
  const seen = await page.evaluate(() => globalThis.bench);
  const after = await reading(devtools);
  const rows = await page.locator("[data-message]").count();
  await context.close();
  const floor = await measureFloor(admin, session.session_id);
  await admin.call("POST", `${path}/commands`, { command: "stop" });
  const time = (after.at - before.at) / 1000;
  const heapMB = (after.heap - before.heap) / 1e6;
  return {
    rate,
    steered: Math.round(got),
    events: Math.round(came / time),
    painted: seen.delays.length,
    p50: percentile(seen.delays, 0.5),
    p99: percentile(seen.delays, 0.99),
    script: ((after.ScriptDuration - before.ScriptDuration) * 1000) / time,
    tasks: ((after.TaskDuration - before.TaskDuration) * 1000) / time,
    longPer10s: (seen.longTasks.length * 10) / time,
    longest: Math.max(0, ...seen.longTasks),
    heapPerMinute: (heapMB * 60) / time,
    heapPerEvent: (heapMB * 1e6) / Math.max(1, came),
    rows,
    floor,
    complaints,
  };
}

/** The same events in a page of nothing but lines of text: what this browser makes of them at best. */
async function measureFloor(admin, session) {
  const { context, page } = await openPage(browser);
  await page.goto(world.url);
  await page.evaluate(bare, { session, token: admin.token });
  await page.waitForTimeout(2000);
  const devtools = await context.newCDPSession(page);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  const before = await reading(devtools);
  await page.evaluate(() => (globalThis.bench.delays.length = globalThis.bench.arrivals.length = 0));
  await page.waitForTimeout(SECONDS * 1000);
  const { delays, arrivals } = await page.evaluate(() => globalThis.bench);
  const after = await reading(devtools);
  await context.close();
  return {
    p50: percentile(delays, 0.5),
    p99: percentile(delays, 0.99),
    arrival50: percentile(arrivals, 0.5),
    arrival99: percentile(arrivals, 0.99),
    tasks: ((after.TaskDuration - before.TaskDuration) * 1e6) / (after.at - before.at),
  };
}

/** In the page: takes the place of the dashboard, and writes each message as a line when it comes. */
function bare({ session, token }) {
  const bench = { delays: [], arrivals: [] };
  globalThis.bench = bench;
  new PerformanceObserver((list) => {
    for (const { renderTime, identifier } of list.getEntries())
      bench.delays.push(performance.timeOrigin + renderTime - Date.parse(identifier));
  }).observe({ type: "element" });
  const lines = document.createElement("main");
  document.body.replaceChildren(lines);
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws/${session}`, "psyche.v1");
  socket.onopen = () => socket.send(JSON.stringify({ type: "auth", token, subscribe: {} }));
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.type !== "agent_message") return;
    bench.arrivals.push(Date.now() - Date.parse(event.timestamp));
    const line = document.createElement("p");
    line.textContent = event.content;
    line.setAttribute("elementtiming", event.timestamp);
    lines.prepend(line);
    while (lines.children.length > 40) lines.lastChild.remove();
  };
}

/** A finished session of many utterances: how long until it is there, how long a seek takes, what it weighs. */
async function measureLong(admin) {
  const session = await admin.call("POST", "/sessions", {
    name: `${UTTERANCES} utterances`,
    session_type: "single_user",
    seed: 7,
    pacing_ms: 0,
    max_rounds: UTTERANCES / AGENTS,
  });
  const path = `/sessions/${session.session_id}`;
  await admin.call("POST", `${path}/commands`, { command: "start" });
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if ((await admin.call("GET", path)).status === "stopped") break;
  }
  const { context, page, complaints } = await openPage(browser);
  await signInWith(page, world.url, PERSON.username, PERSON.password);
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  const began = performance.now();
  await page.goto(`${world.url}#/s/${session.session_id}/${values.tab}`);
  await page.waitForFunction(() => document.querySelector("[data-message]") !== null);
  const openMs = performance.now() - began;
  await page.waitForFunction(whole, null, { timeout: 120_000 });
  const wholeMs = performance.now() - began;
  const seeks = await page.evaluate(seek, SEEKS);
  const devtools = await context.newCDPSession(page);
  const { heap } = await reading(devtools);
  await context.close();
  return {
    openMs,
    wholeMs,
    seek50: percentile(seeks, 0.5),
    seek95: percentile(seeks, 0.95),
    seekMax: Math.max(...seeks),
    heapMB: heap / 1e6,
    complaints,
  };
}

/** In the page: whether the whole history is here. */
function whole() {
  return document.querySelector("footer input[type=range]")?.disabled === false;
}

/** In the page: moves the playhead to and fro, and takes the time until each place is painted. */
async function seek(many) {
  const range = document.querySelector("footer input[type=range]");
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const times = [];
  for (let at = 0; at < many; at += 1) {
    // Far apart, each somewhere else, and not where a checkpoint lies.
    range.value = String(1 + Math.floor(((at * 0.618) % 1) * (range.max - 1)));
    await frame();
    const { port1, port2 } = new MessageChannel();
    const painted = new Promise((resolve) => (port1.onmessage = resolve));
    const began = performance.now();
    range.dispatchEvent(new Event("input", { bubbles: true }));
    // In a frame already: a task behind it begins once it is painted.
    port2.postMessage(0);
    await painted;
    times.push(performance.now() - began);
  }
  return times;
}

/** Changes the pause between turns until about as many events come as are wanted. */
async function steer(admin, path, rate, seq) {
  let { pacing_ms: pacing } = await admin.call("GET", path);
  let got = 0;
  for (let i = 0; i < TRIES; i += 1) {
    const began = performance.now();
    const first = await seq();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const perTurn = 6.25;
    const time = performance.now() - began;
    got = (((await seq()) - first) * 1000) / time;
    if (Math.abs(got / rate - 1) <= NEAR) break;
    // What a turn takes beside its pause stays as it is.
    const wanted = Math.max(0, Math.round(pacing + (perTurn * 1000) / rate - (perTurn * 1000) / got));
    if (wanted === pacing) break;
    pacing = wanted;
    await admin.call("PATCH", path, { pacing_ms: pacing });
  }
  return got;
}

/** In the page: how long after its event each message is on the screen, and every task that blocks the page. */
function watch() {
  const bench = { delays: [], longTasks: [] };
  globalThis.bench = bench;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) bench.longTasks.push(Math.round(entry.duration));
  }).observe({ type: "longtask" });
  new PerformanceObserver((list) => {
    for (const { renderTime, identifier } of list.getEntries())
      bench.delays.push(performance.timeOrigin + renderTime - Date.parse(identifier));
  }).observe({ type: "element" });
  const seen = new Set([...document.querySelectorAll("[data-message]")].map((row) => row.dataset.message));
  new MutationObserver((records) => {
    const fresh = records
      .flatMap(({ addedNodes }) => [...addedNodes])
      .filter((node) => node instanceof Element)
      .flatMap((node) => [...node.querySelectorAll("[data-message]")])
      .filter((row) => !seen.has(row.dataset.message));
    if (fresh.length === 0) return;
    for (const row of fresh) {
      seen.add(row.dataset.message);
      const words = row.querySelector(".words");
      // The browser itself then tells when these words are first presented.
      words.setAttribute("elementtiming", row.querySelector("time").dateTime);
    }
  }).observe(document.body, { childList: true, subtree: true });
}

async function reading(devtools) {
  await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.getMetrics");
  const { usedSize } = await devtools.send("Runtime.getHeapUsage");
  return {
    ...Object.fromEntries(metrics.map(({ name, value }) => [name, value])),
    heap: usedSize,
    at: performance.now(),
  };
}

function percentile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function report(rows) {
  const one = (value) => value.toFixed(1);
  console.log(`\n${values.tab}, ${SECONDS} s each`);
  for (const row of rows) {
    console.log(`
${row.rate} events/s wanted, ${row.events} came (${row.steered} without a reader)
  event to paint       p50 ${one(row.p50)} ms, p99 ${one(row.p99)} ms, of ${row.painted} messages
  a page of bare text  p50 ${one(row.floor.p50)} ms, p99 ${one(row.floor.p99)} ms (of which until it arrives ${one(row.floor.arrival50)} and ${one(row.floor.arrival99)}), tasks ${one(row.floor.tasks)} ms/s
  script               ${one(row.script)} ms/s, all tasks ${one(row.tasks)} ms/s
  long tasks           ${one(row.longPer10s)} per 10 s, the longest ${row.longest} ms
  heap                 ${one(row.heapPerMinute)} MB/min, ${Math.round(row.heapPerEvent)} bytes an event that is kept
  rows in the page     ${row.rows}`);
    for (const complaint of row.complaints) console.log(`  complaint: ${complaint}`);
    if (row.rate !== 200) continue;
    for (const [name, most] of Object.entries(BUDGET)) {
      console.log(`  ${row[name] <= most ? "ok  " : "OVER"} ${name} ${one(row[name])} of ${most}`);
    }
  }
}

function reportLong(row) {
  const one = (value) => value.toFixed(1);
  console.log(`
a session of ${UTTERANCES} utterances
  open               first words after ${one(row.openMs)} ms, all of it after ${one(row.wholeMs)} ms
  seek               p50 ${one(row.seek50)} ms, p95 ${one(row.seek95)} ms, at most ${one(row.seekMax)} ms, of ${SEEKS}
  heap               ${one(row.heapMB)} MB`);
  for (const complaint of row.complaints) console.log(`  complaint: ${complaint}`);
  for (const [name, most] of Object.entries(LONG_BUDGET)) {
    console.log(`  ${row[name] <= most ? "ok  " : "OVER"} ${name} ${one(row[name])} of ${most}`);
  }
}
