// A made-up session for looking at the dashboard without a server. Nothing here is a measurement or a model's words.

export const CAST = {
  id: "jungian",
  version: 1,
  name: "Jungian psyche",
  description: "Five figures of analytical psychology.",
  situation: "A letter has lain unopened on the table for three days.",
  thresholds: { emergency: 0.6, critical: 0.8, path_switch_delay: 2 },
  stimuli: [
    { kind: "memory", name: "A kitchen in childhood", text: "A smell of bread and coal smoke returns." },
    { kind: "conflict", name: "Two promises", text: "Two promises fall due on the same day." },
  ],
  agents: [
    agent("ego", "Ego", "#99b7ee", "#033664", "circle", 0.3),
    agent("shadow", "Shadow", "#966afd", "#7d50af", "inverted_triangle", 0.9),
    agent("persona", "Persona", "#e6b569", "#795808", "square", 0.5),
    agent("anima", "Anima/Animus", "#c66a85", "#d42466", "diamond", 0.7),
    agent("self", "Self", "#5ffdd3", "#016c56", "star", 0.6),
  ],
  paths: [],
};
const IDS = CAST.agents.map((each) => each.id);
const NORMAL = ["shadow ego", "persona shadow", "anima self", "self ego"];
for (const from of IDS)
  for (const to of IDS) {
    if (from === to) continue;
    CAST.paths.push({ from, to, kind: NORMAL.includes(`${from} ${to}`) ? "normal" : "emergency", window: 3 });
  }

function agent(id, name, dark, light, shape, temperature) {
  const system_prompt = `You are the ${name}. This prompt is made up for looking at the page.`;
  return { id, name, colour: { dark, light }, shape, temperature, system_prompt, muted: false };
}

const LINES = [
  "I need to decide before evening, and I cannot decide on a guess. So first I will read the one page I have.",
  "You are not kind, you are afraid, and you smile so nobody bites. I remember every insult you swallowed.",
  "They are watching; let us at least look certain. A polite note would settle it, would it not?",
  "There was a song underneath the argument. Did you hear it, over the dark water?",
  "Hold both. The letter is neither a threat nor a gift until you open it, and both are yours.",
];
const SPEAKS_TO = { ego: "all", shadow: "ego", persona: "shadow", anima: "self", self: "ego" };

/** The log of a session with `rounds` rounds; `quiet` leaves out the incidents. */
export function makeLog(sessionId, rounds, quiet = false) {
  const events = [];
  let at = Date.parse("2026-11-22T20:00:00Z");
  const add = (type, fields) => {
    const seq = events.length + 1;
    at += 700;
    const timestamp = new Date(at).toISOString().replace("Z", "000Z");
    events.push({ type, session_id: sessionId, gen: 1, seq, prev: seq - 1, timestamp, ...fields });
    return seq;
  };
  add("session_created", { name: "The unopened letter", cast: CAST, situation: CAST.situation });
  add("command_received", { command_id: "c1", actor: "u1", command: "start" });
  add("session_status", { status: "running", actor: "u1" });
  let turn = 0;
  for (let round = 1; round <= rounds; round += 1) {
    if (!quiet && round === 3)
      add("stimulus_injected", { kind: "memory", text: CAST.stimuli[0].text, actor: "u1" });
    const open = !quiet && round >= 6 && round <= 8;
    if (!quiet && round === 6) emergency("opened", "emergency", 0.66);
    if (!quiet && round === 9) emergency("closed", "emergency", 0.41);
    for (const id of IDS) {
      turn += 1;
      const recipient = open && id === "ego" ? "shadow" : SPEAKS_TO[id];
      const recipients = recipient === "all" ? [] : [recipient];
      add("turn_started", { turn, attempt: 1, round, agent_id: id, recipient, recipients, seed: 7 });
      if (!quiet && turn === 18) {
        const message = "The model sent nothing for 20 seconds. The turn was given up; try it again.";
        add("turn_failed", {
          agent_id: id,
          turn,
          attempt: 1,
          kind: "timeout",
          retryable: true,
          message,
          tokens: 40,
        });
        continue;
      }
      const index = IDS.indexOf(id);
      const score = round4(Math.sin(turn * 0.37 + index) * 0.8);
      add("agent_message", {
        agent_id: id,
        recipient,
        recipients,
        content: LINES[(index + (round % 2 === 0 ? 0 : round * 5)) % LINES.length],
        message_type: open ? "emergency" : "normal",
        sentiment: {
          score,
          label: score > 0.05 ? "positive" : score < -0.05 ? "negative" : "neutral",
          positive: 0.2,
          neutral: 0.7,
          negative: 0.1,
          standard_error: 0.05,
          band: [score - 0.1, score + 0.1],
        },
        metadata: {
          round,
          turn,
          attempt: 1,
          model: "default",
          usage: { prompt_tokens: 180 + turn, completion_tokens: 31 },
          latency_ms: 900 + ((turn * 137) % 800),
          seed: 7,
          opener: index % 2 === 0 ? "I need to decide" : undefined,
        },
      });
      add("agent_state_update", {
        agent_id: id,
        state: "active",
        confidence: null,
        last_action: "spoke",
        metadata: {},
      });
      add("network_update", {
        connections: connections(round, open),
        metrics: {
          total_messages: turn,
          avg_response_time: 1240,
          network_health: round4(0.6 + 0.3 * Math.sin(turn / 9)),
        },
        performance: {},
      });
      if (id === "self") {
        if (round % 4 === 0)
          add("prompt_adapted", {
            agent_id: "ego",
            rules: ["new_perspectives"],
            guidance: "Bring a new perspective to what was said.",
          });
        add("health_update", { round, gauges: gauges(round) });
      }
      add("turn_committed", {
        turn,
        attempt: 1,
        round,
        agent_id: id,
        finish: "stop",
        tokens: 211,
        cost: 0,
        confidence: null,
      });
    }
    if (!quiet && round === 7)
      add("intervention_suggested", {
        rule: "stagnation > 0.7",
        text: "Something happens that nobody planned: bring it up now.",
      });
  }
  return events;

  function emergency(action, level, stagnation) {
    const paths = CAST.paths
      .filter((path) => path.kind === "emergency")
      .map(({ from, to }) => ({ from, to }));
    add("emergency", { action, level, stagnation, paths });
  }
}

function connections(round, open) {
  return CAST.paths.map(({ from, to, kind }, index) => {
    const active = kind === "normal" || open;
    return {
      from,
      to,
      kind,
      active,
      strength: active ? round4(0.15 + 0.8 * Math.abs(Math.sin(index + round / 5))) : 0,
    };
  });
}

export function gauges(round) {
  const names = ["conflict", "engagement", "diversity", "repetition", "emotional_intensity", "stagnation"];
  return Object.fromEntries(
    names.map((name, index) => {
      const standardised = round4(Math.abs(Math.sin(round * 0.31 + index * 1.1)));
      const level = standardised >= 0.7 ? "high" : standardised >= 0.4 ? "moderate" : "low";
      const value = round4(0.2 + standardised * 0.5);
      return [
        name,
        {
          value,
          standardised,
          null: [0.22, 0.38],
          level,
          interval: [round4(value - 0.06), round4(value + 0.07)],
          components: { novelty: round4(standardised / 2), drift: round4(standardised / 3) },
          alarm: { raised: standardised > 0.9, sum: standardised, false_alarms_per_100: 1 },
        },
      ];
    }),
  );
}

function round4(value) {
  return Math.round(value * 1e4) / 1e4;
}

export function makeSession(sessionId, events, status = "running") {
  const turns = events.filter((event) => event.type === "turn_started").length;
  return {
    session_id: sessionId,
    name: "The unopened letter",
    session_type: "single_user",
    status,
    owner: "u1",
    relation: "owner",
    cast_id: "jungian",
    cast_version: 1,
    situation: CAST.situation,
    seed: 7,
    model: "default",
    determinism: "local",
    turn_order: "sequential",
    pacing_ms: 0,
    max_rounds: null,
    budget: {},
    spent: { tokens: turns * 211, cost: 0 },
    round: Math.floor(turns / 5),
    turn: turns,
    seq: events.length,
    gen: 1,
    tags: [],
    created_at: "2026-11-22T20:00:00.000000Z",
    last_activity: new Date(Date.now() - 30_000).toISOString(),
    stagnation: Array.from({ length: 12 }, (_, index) => gauges(index).stagnation.standardised),
    emergencies: 1,
  };
}

export function makeState(events, status = "running") {
  const last = (type) => events.findLast((event) => event.type === type);
  const count = (id) =>
    events.filter((event) => event.type === "agent_message" && event.agent_id === id).length;
  return {
    status,
    round: last("health_update")?.round ?? 0,
    turn: last("turn_started")?.turn ?? 0,
    situation: CAST.situation,
    agents: Object.fromEntries(
      CAST.agents.map((each) => {
        const message = events.findLast(
          (event) => event.type === "agent_message" && event.agent_id === each.id,
        );
        return [
          each.id,
          {
            name: each.name,
            state: "waiting",
            last_utterance: message?.content ?? null,
            utterances: count(each.id),
            sentiment: message?.sentiment.score ?? null,
            rules: [],
            guidance: each.id === "ego" && message ? ["Bring a new perspective to what was said."] : [],
            confidence: null,
            last_action: "",
            inbox: [],
            temperature: each.temperature,
            model: null,
            muted: false,
            system_prompt: each.system_prompt,
          },
        ];
      }),
    ),
    connections:
      last("network_update")?.connections ?? connections(0, false).map((path) => ({ ...path, strength: 0 })),
    gauges: last("health_update")?.gauges ?? {},
    emergency: { open: false },
    pending_stimuli: [],
    participants: [],
  };
}
