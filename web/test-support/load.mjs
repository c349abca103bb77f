// What 200 events a second cost the page: script time, long tasks, heap. Usage: node test-support/load.mjs [tab] [seconds]
import { chromium } from "playwright-core";
import { CAST, gauges } from "./conversation.mjs";
import { fake, serveDist, signedIn } from "./fake.mjs";

const tab = process.argv[2] ?? "conversation";
const seconds = Number(process.argv[3] ?? 10);
const PER_SECOND = 200;
const dist = await serveDist();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
});
const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
await signedIn(context);
const page = await context.newPage();
const world = await fake(page, { rounds: 40, live: false });
await page.addInitScript(() => {
  globalThis.longTasks = 0;
  new PerformanceObserver((list) => (globalThis.longTasks += list.getEntries().length)).observe({
    type: "longtask",
  });
});
await page.goto(`${dist.url}#/s/${world.id}/${tab}`);
await page.waitForTimeout(1500);
const session = await context.newCDPSession(page);
await session.send("Performance.enable");
const read = async () =>
  Object.fromEntries(
    (await session.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]),
  );

let seq = world.events.length;
let turn = 201;
const send = (type, fields) => {
  seq += 1;
  world.sockets.at(-1).send(
    JSON.stringify({
      type,
      session_id: world.id,
      gen: 1,
      seq,
      prev: seq - 1,
      timestamp: new Date().toISOString(),
      ...fields,
    }),
  );
};
await page.evaluate(() => (globalThis.longTasks = 0));
const before = await read();
const began = Date.now();
let sent = 0;
while (Date.now() - began < seconds * 1000) {
  const due = Math.floor(((Date.now() - began) / 1000) * PER_SECOND);
  while (sent < due) {
    const agent = CAST.agents[turn % 5].id;
    switch (sent % 6) {
      case 0:
        send("turn_started", {
          turn,
          attempt: 1,
          round: Math.ceil(turn / 5),
          agent_id: agent,
          recipient: "all",
        });
        break;
      case 1:
        send("agent_message", {
          agent_id: agent,
          recipient: "all",
          recipients: [],
          content: "Hold both. The letter is neither a threat nor a gift.",
          message_type: "normal",
          sentiment: { score: Math.sin(turn), label: "mixed" },
          metadata: { turn, round: Math.ceil(turn / 5), attempt: 1, model: "default", latency_ms: 900 },
        });
        break;
      case 2:
        send("agent_state_update", {
          agent_id: agent,
          state: "waiting",
          confidence: null,
          last_action: "spoke",
        });
        break;
      case 3:
        send("health_update", { round: Math.ceil(turn / 5), gauges: gauges(turn / 5) });
        break;
      case 4:
        send("network_update", {
          connections: CAST.paths.map(({ from, to, kind }, at) => ({
            from,
            to,
            kind,
            active: kind === "normal",
            strength: Math.abs(Math.sin(at + turn / 9)),
          })),
          metrics: { total_messages: turn, avg_response_time: 900, network_health: 0.8 },
        });
        break;
      default:
        send("turn_committed", { turn, attempt: 1, agent_id: agent, tokens: 50, cost: 0 });
        turn += 1;
    }
    sent += 1;
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
}
const after = await read();
const longTasks = await page.evaluate(() => globalThis.longTasks);
const per = (name) => (((after[name] - before[name]) * 1000) / seconds).toFixed(0);
console.log(
  `${tab}: ${sent} events in ${seconds} s · script ${per("ScriptDuration")} ms/s · all tasks ${per("TaskDuration")} ms/s · ${longTasks} long tasks · heap ${((after.JSHeapUsedSize - before.JSHeapUsedSize) / 1e6).toFixed(1)} MB · ${after.Nodes} nodes`,
);
await browser.close();
dist.close();
