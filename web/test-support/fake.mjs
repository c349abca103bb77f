// A FAKE of the server, inside the browser test alone: it answers the page's calls and its socket with the made-up
// session of conversation.mjs, so that every look of the page can be seen. It proves nothing about the server.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { identityAnswers, systemFrames } from "./identity.mjs";
import { makeAnalysis, makeHistory, makeSelfTest } from "./analysis.mjs";
import { CAST, makeLog, makeSession, makeState } from "./conversation.mjs";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};
/** As the server sends it (WEB-01). */
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'";

export async function serveDist(folder = DIST) {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
    const file = join(folder, path === "/" ? "index.html" : path);
    try {
      const body = await readFile(file);
      response.writeHead(200, {
        "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
        "Content-Security-Policy": POLICY,
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

const USER = {
  user_id: "0193a000-0000-7000-8000-0000000000a1",
  username: "mira",
  display_name: "Mira",
  role: "admin",
  permissions: [
    "system:admin",
    "system:config",
    "system:monitor",
    "agent:create",
    "agent:modify",
    "agent:delete",
    "agent:view",
    "session:create",
    "session:manage",
    "session:view",
    "data:export",
    "data:import",
    "data:delete",
  ],
};
const TOKENS = {
  access_token: "fake",
  refresh_token: null,
  token_type: "bearer",
  expires_in: 86400,
  user: USER,
};

/** Answers everything the page asks. `options.fail` names paths that answer 503. */
export async function fake(
  page,
  {
    rounds = 12,
    status = "running",
    quiet = false,
    fail = [],
    sessions,
    live = true,
    hang = [],
    identity = {},
    identityEmpty = false,
    role = "admin",
  } = {},
) {
  const id = "0193a000-0000-7000-8000-000000000001";
  const events = makeLog(id, rounds, quiet);
  const session = makeSession(id, events, status);
  const list = sessions ?? [
    session,
    {
      ...session,
      session_id: `${id.slice(0, -1)}2`,
      name: "Two promises",
      status: "stopped",
      reason: "max_rounds",
    },
  ];
  const commands = [];
  const answers = {
    "POST auth/refresh": () => ({
      ...TOKENS,
      user: { ...USER, role },
      must_enrol: identity.mustEnrol === true,
    }),
    "POST auth/login": (_, body) => {
      if (body.username === "locked") return { status: 429, kind: "rate_limited", retryAfter: "754" };
      if (identity.factor && body.otp !== "123456")
        return { status: 401, kind: "unauthenticated", details: [{ field: "otp", message: "is asked for" }] };
      return TOKENS;
    },
    "GET setup": () => ({ needed: false, registration: "open", consent_version: "2026-11" }),
    ...identityAnswers({ id, user: USER, empty: identityEmpty, ...identity }),
    "GET sessions": () => ({ items: list, next_cursor: null }),
    [`GET sessions/${id}`]: () => session,
    "GET casts/jungian": () => CAST,
    "GET models": () => ({
      items: [
        {
          id: "default",
          provider: "embedded",
          name: "SmolLM2 135M",
          context: 2048,
          price: { input: 0, output: 0 },
          determinism: "local",
          prompt_style: "compact",
          status: "ready",
          circuit: "closed",
          in_use: 1,
        },
      ],
      next_cursor: null,
    }),
    [`GET sessions/${id}/events`]: (url) => {
      const after = Number(url.searchParams.get("after"));
      const limit = Number(url.searchParams.get("limit"));
      const items = events.filter((event) => event.seq > after).slice(0, limit);
      return { items, next_cursor: items.length > 0 ? String(items.at(-1).seq) : null };
    },
    [`GET sessions/${id}/analysis`]: () => makeAnalysis(id, events),
    "GET analysis/self-test": () => makeSelfTest(),
    "POST analysis/history": () => makeHistory(),
    [`POST sessions/${id}/commands`]: (_, body) => {
      commands.push(body);
      return { seq: events.length };
    },
  };
  await page.route("**/api/v1/**", async (route) => {
    const url = new URL(route.request().url());
    const path = url.pathname.replace(/^.*\/api\/v1\//, "");
    const key = `${route.request().method()} ${path}`;
    if (hang.some((part) => key.includes(part))) return;
    const context = /utterances\/(\d+)\/context$/.exec(path);
    const answer = answers[key];
    const failed = fail.some((part) => key.includes(part)) || (!answer && !context);
    if (failed) {
      const error = {
        code: 503,
        kind: "unavailable",
        message: "The store does not answer. Try again in a moment.",
        timestamp: "",
        path,
        request_id: "7f3a9c1e-fake",
      };
      return route.fulfill({ status: 503, json: { error }, headers: { "X-Request-ID": "7f3a9c1e-fake" } });
    }
    if (context) {
      return route.fulfill({
        json: {
          messages: [
            { role: "system", content: CAST.agents[0].system_prompt },
            { role: "user", content: "Shadow said to you: “You are afraid.”" },
          ],
          event_seqs: [4, 9],
          sampling: { temperature: 0.3, top_p: 0.95 },
          model: "default",
          usage: { prompt_tokens: 181, completion_tokens: 31 },
        },
      });
    }
    const found = answer(url, route.request().postDataJSON?.() ?? null);
    if (found.status >= 400) {
      const error = {
        code: found.status,
        kind: found.kind,
        message: found.message ?? found.kind,
        timestamp: "",
        path,
        request_id: "7f3a9c1e-fake",
        details: found.details,
      };
      return route.fulfill({
        status: found.status,
        json: { error },
        headers: { "Retry-After": found.retryAfter ?? "" },
      });
    }
    return route.fulfill({ json: found });
  });
  const sockets = [];
  await page.routeWebSocket(/\/ws\//, (socket) => {
    sockets.push(socket);
    socket.onMessage((text) => {
      const frame = JSON.parse(text);
      const send = (value) => socket.send(JSON.stringify(value));
      if (frame.type === "ping") send({ type: "pong" });
      if (frame.type !== "auth") return;
      send({ type: "auth_ok", user: USER, expires_at: "2026-12-01T00:00:00Z" });
      if (socket.url().endsWith("/ws/system")) {
        for (const news of identityEmpty ? [] : systemFrames()) send(news);
        return;
      }
      if (frame.subscribe?.cursor) send({ type: "resume", gen: 1, seq: events.length });
      else
        send({
          type: "snapshot",
          gen: 1,
          seq: events.length,
          session,
          state: makeState(events, status),
          reason: "cold",
        });
      send({ type: "presence", users: [{ user_id: "u1", username: "mira", relation: "owner" }] });
      if (!live) return;
      const turn = events.filter((event) => event.type === "turn_started").length + 1;
      send({
        type: "turn_started",
        session_id: id,
        gen: 1,
        seq: events.length + 1,
        prev: events.length,
        timestamp: new Date().toISOString(),
        turn,
        attempt: 1,
        round: rounds + 1,
        agent_id: "ego",
        recipient: "all",
      });
      ["I will ", "read the one ", "page I have, ", "and then "].forEach((text, index) =>
        send({ type: "delta", agent_id: "ego", turn, attempt: 1, index, text }),
      );
      send({
        type: "system_status",
        status: "healthy",
        active_agents: ["ego"],
        resource_usage: { cpu_percent: 41.2, memory_percent: 3.1, memory_mb: 412, active_threads: 9 },
      });
    });
  });
  return { id, events, session, commands, sockets };
}

export async function signedIn(context) {
  await context.addInitScript(() => localStorage.setItem("psyche.signed-in", "1"));
}
