// What the dashboard costs while events come: feeds 200 and 1,000 events a second through the real program into a real
// browser. Usage: node scripts/bench.mjs [--seconds N] [--tab conversation]
// `PSYCHE_BIN` names the program, `CHROMIUM` the browser, `WEB_DIST` another build than the one inside the program.
import { parseArgs } from "node:util";
import { firstAdmin, PERSON, signInWith } from "../e2e/api.mjs";
import { launchBrowser, openPage } from "../e2e/browser.mjs";
import { startPsyche, stopPsyche } from "../e2e/psyche.mjs";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "20" }, tab: { type: "string", default: "conversation" } },
});
const SECONDS = Number(values.seconds);
const RATES = [200, 1000];
/** How near to the wanted rate is near enough, and how often it is tried. */
const NEAR = 0.08;
const TRIES = 12;
/** Promises of the design, for the rate of 200; the other row shows what is left. */
const BUDGET = { p50: 25, p99: 100, script: 100, longPer10s: 1 };

const world = await startPsyche({ tables: '[models.default]\nprovider = "scripted"\nlatency_ms = 0\n' });
const browser = await launchBrowser();
try {
  const admin = await firstAdmin(world.url);
  const rows = [];
  for (const rate of RATES) rows.push(await measure(admin, rate));
  report(rows);
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
  await page.waitForFunction(
    () => document.querySelector("footer input[type=range]")?.disabled === false,
    null,
    { timeout: 60_000 },
  );
  await page.waitForTimeout(2000);
  await page.evaluate(watch);
  const devtools = await context.newCDPSession(page);
  await devtools.send("Performance.enable");
  const before = await reading(devtools);
  const first = await seq();
  await page.waitForTimeout(SECONDS * 1000);
  const came = (await seq()) - first;
  const seen = await page.evaluate(() => globalThis.bench);
  const after = await reading(devtools);
  await admin.call("POST", `${path}/commands`, { command: "stop" });
  const time = (after.at - before.at) / 1000;
  const heapMB = (after.heap - before.heap) / 1e6;
  const result = {
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
    rows: await page.locator("[data-message]").count(),
    complaints,
  };
  await context.close();
  return result;
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

/** In the page: how long after its event each message is painted, and every task that blocks the page. */
function watch() {
  const bench = { delays: [], longTasks: [] };
  globalThis.bench = bench;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) bench.longTasks.push(Math.round(entry.duration));
  }).observe({ type: "longtask" });
  const seen = new Set([...document.querySelectorAll("[data-message]")].map((row) => row.dataset.message));
  new MutationObserver((records) => {
    const fresh = records
      .flatMap(({ addedNodes }) => [...addedNodes])
      .filter((node) => node instanceof Element)
      .flatMap((node) => [...node.querySelectorAll("[data-message]")])
      .filter((row) => !seen.has(row.dataset.message));
    if (fresh.length === 0) return;
    const events = fresh.map((row) => {
      seen.add(row.dataset.message);
      return Date.parse(row.querySelector("time").dateTime);
    });
    // A task behind the next frame begins once that frame is painted.
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        const painted = performance.timeOrigin + performance.now();
        for (const at of events) bench.delays.push(painted - at);
      };
      port2.postMessage(0);
    });
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
  event to paint     p50 ${one(row.p50)} ms, p99 ${one(row.p99)} ms, of ${row.painted} messages
  script             ${one(row.script)} ms/s, all tasks ${one(row.tasks)} ms/s
  long tasks         ${one(row.longPer10s)} per 10 s, the longest ${row.longest} ms
  heap               ${one(row.heapPerMinute)} MB/min, ${Math.round(row.heapPerEvent)} bytes an event that is kept
  rows in the page   ${row.rows}`);
    for (const complaint of row.complaints) console.log(`  complaint: ${complaint}`);
    if (row.rate !== RATES[0]) continue;
    for (const [name, most] of Object.entries(BUDGET)) {
      console.log(`  ${row[name] <= most ? "ok  " : "OVER"} ${name} ${one(row[name])} of ${most}`);
    }
  }
}
