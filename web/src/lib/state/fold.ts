/**
 * The small state of a session as a pure fold of its events: what the server's State says, plus what the page
 * shows beside it. An event of an unknown type changes nothing but the place.
 */
import type {
  AgentActivity,
  AgentPatch,
  AgentState,
  Cast,
  Connection,
  Emergency,
  Gauges,
  NetworkMetrics,
  Path,
  Sentiment,
  Session,
  SessionStatus,
  State,
  StoredEvent,
} from "$lib/api/types";

export interface AgentNow {
  state: AgentActivity;
  lastUtterance: string | null;
  utterances: number;
  words: number;
  sentiment: Sentiment | null;
  guidance: string[];
  rules: string[];
  confidence: number | null;
  lastAction: string | null;
  /** Changes made during the run, over what the cast says. */
  overrides: AgentPatch;
}

export interface Turn {
  turn: number;
  attempt: number;
  agentId: string;
  recipient: string;
}

export interface Failure {
  seq: number;
  turn: number;
  agentId: string;
  retryable: boolean;
}

export interface Now {
  seq: number;
  status: SessionStatus;
  reason: string | null;
  actor: string | null;
  round: number;
  /** The highest turn that was started. */
  turn: number;
  messages: number;
  tokens: number;
  cost: number;
  /** Attempts that failed, over all agents. */
  failures: number;
  /** Running time of finished stretches, and when the present one began. */
  ranMs: number;
  runningSinceMs: number | null;
  /** When the newest event happened. */
  at: string | null;
  situation: string;
  agents: Readonly<Record<string, AgentNow>>;
  connections: readonly Connection[];
  metrics: NetworkMetrics | null;
  gauges: Gauges;
  emergency: Emergency;
  /** Turns under way, by agent. */
  inFlight: Readonly<Record<string, Turn>>;
  waitingStimuli: readonly number[];
  /** A turn that failed and was not taken up again since. */
  failure: Failure | null;
  /** Session settings changed by events: name, pacing_ms, max_rounds … */
  settings: Readonly<Record<string, unknown>>;
}

export function initial(situation: string, cast: Cast | null): Now {
  const agents: Record<string, AgentNow> = {};
  for (const agent of cast?.agents ?? []) agents[agent.id] = quiet(agent.muted);
  const connections = (cast?.paths ?? []).map(({ from, to, kind }) => {
    return { from, to, kind, strength: 0, active: kind === "normal" };
  });
  return {
    seq: 0,
    status: "created",
    reason: null,
    actor: null,
    round: 0,
    turn: 0,
    messages: 0,
    tokens: 0,
    cost: 0,
    failures: 0,
    ranMs: 0,
    runningSinceMs: null,
    at: null,
    situation,
    agents,
    connections,
    metrics: null,
    gauges: {},
    emergency: { open: false },
    inFlight: {},
    waitingStimuli: [],
    failure: null,
    settings: {},
  };
}

/** The server's word on the state, over what is known from events before it. */
export function fromSnapshot(session: Session, state: State, seq: number, before: Now): Now {
  const agents: Record<string, AgentNow> = {};
  for (const [id, agent] of Object.entries(state.agents)) {
    const known = before.agents[id] ?? quiet(false);
    agents[id] = {
      ...known,
      state: agent.state,
      lastUtterance: agent.last_utterance ?? null,
      utterances: agent.utterances,
      sentiment: sameScore(known.sentiment, asSentiment(agent.sentiment)),
      guidance: agent.guidance,
      rules: agent.rules,
      confidence: agent.confidence ?? null,
      lastAction: agent.last_action,
      overrides: overridesOf(agent),
    };
  }
  return {
    ...before,
    seq,
    status: state.status,
    reason: session.reason ?? null,
    actor: session.actor ?? null,
    round: state.round,
    turn: state.turn,
    waitingStimuli: state.pending_stimuli.map(({ seq: at }) => at),
    situation: state.situation,
    agents,
    connections: state.connections,
    gauges: state.gauges,
    emergency: state.emergency,
    tokens: session.spent.tokens,
    cost: session.spent.cost,
    messages: Math.max(
      before.messages,
      Object.values(agents).reduce((sum, agent) => sum + agent.utterances, 0),
    ),
  };
}

export function apply(now: Now, event: StoredEvent): Now {
  const next = { ...now, seq: event.seq, at: event.timestamp };
  switch (event.type) {
    case "agent_message": {
      const { metadata } = event;
      next.messages += 1;
      next.round = metadata.round;
      next.turn = Math.max(now.turn, metadata.turn);
      next.inFlight = without(now.inFlight, event.agent_id);
      next.failure = null;
      return withAgent(next, event.agent_id, (agent) => ({
        lastUtterance: event.content,
        utterances: agent.utterances + 1,
        words: agent.words + wordCount(event.content),
        sentiment: event.sentiment,
      }));
    }
    case "agent_state_update":
      return withAgent(next, event.agent_id, () => ({
        state: event.state,
        confidence: event.confidence ?? null,
        lastAction: event.last_action,
      }));
    case "prompt_adapted":
      return withAgent(next, event.agent_id, () => ({
        rules: event.rules,
        guidance: Array.isArray(event.guidance) ? event.guidance : event.guidance ? [event.guidance] : [],
      }));
    case "agent_changed":
      return withAgent(next, event.agent_id, (agent) => ({
        overrides: { ...agent.overrides, ...changesOf(event) },
      }));
    case "network_update":
      next.connections = event.connections;
      next.metrics = event.metrics;
      return next;
    case "health_update":
      next.round = event.round;
      next.gauges = event.gauges;
      return next;
    case "emergency":
      next.emergency =
        event.action === "opened"
          ? { open: true, level: event.level, since_round: now.emergency.since_round ?? now.round }
          : { open: false };
      return next;
    case "stimulus_injected":
      next.waitingStimuli = [...now.waitingStimuli, event.seq];
      return next;
    case "stimulus_used":
      next.waitingStimuli = now.waitingStimuli.filter((seq) => seq !== event.stimulus_seq);
      return next;
    case "situation_changed":
      next.situation = event.situation;
      return next;
    case "session_status":
      next.status = event.status;
      next.reason = event.reason ?? null;
      next.actor = event.actor;
      if (event.status !== "running") next.inFlight = {};
      return timed(next, Date.parse(event.timestamp));
    case "turn_started":
      next.turn = Math.max(now.turn, event.turn);
      next.round = event.round;
      next.failure = null;
      next.inFlight = {
        ...now.inFlight,
        [event.agent_id]: {
          turn: event.turn,
          attempt: event.attempt,
          agentId: event.agent_id,
          recipient: event.recipient,
        },
      };
      // As on the server: whoever spoke before waits again.
      next.agents = Object.fromEntries(
        Object.entries(now.agents).map(([id, agent]) =>
          agent.state === "active" || agent.state === "integrating"
            ? [id, { ...agent, state: "waiting" as const }]
            : [id, agent],
        ),
      );
      return withAgent(next, event.agent_id, () => ({ state: "processing" as const }));
    case "turn_committed":
      next.tokens += event.tokens;
      next.cost += event.cost;
      return next;
    case "turn_failed":
      next.tokens += event.tokens;
      next.failures += 1;
      next.inFlight = without(now.inFlight, event.agent_id);
      next.failure = {
        seq: event.seq,
        turn: event.turn,
        agentId: event.agent_id,
        retryable: event.retryable,
      };
      return withAgent(next, event.agent_id, () => ({ state: "failed" as const }));
    case "turn_abandoned":
      next.tokens += event.tokens;
      next.inFlight = Object.fromEntries(
        Object.entries(now.inFlight).filter(([, turn]) => turn.turn !== event.turn),
      );
      return withAgent(next, event.agent_id, () => ({ state: "waiting" as const }));
    case "paths_changed":
      next.connections = connectionsOf(event.paths, now.connections);
      return next;
    case "forked":
      // What went on between the last shared event and the fork is not its own.
      return forked(now.at === null ? next : ended(next, Date.parse(now.at)), event);
    case "settings_changed":
      next.settings = { ...now.settings, ...changesOf(event) };
      return next;
    default:
      return next;
  }
}

/** `reset` needs the beginning, which one event alone does not hold. */
export function applyFrom(beginning: Now): (now: Now, event: StoredEvent) => Now {
  return (now, event) => {
    if (event.type !== "reset") return apply(now, event);
    return {
      ...beginning,
      seq: event.seq,
      status: now.status,
      turn: now.turn,
      messages: now.messages,
      tokens: now.tokens,
      cost: now.cost,
      failures: now.failures,
      ranMs: now.ranMs,
    };
  };
}

/** The past is another session's; from here on it is this one's, and waits for its start. */
function forked(now: Now, event: Extract<StoredEvent, { type: "forked" }>): Now {
  const changes = changesOf(event);
  const { situation, agents, paths, ...settings } = changes;
  const edits = Object.entries((agents ?? {}) as Record<string, AgentPatch>);
  const edited = edits.reduce(
    (so, [id, edit]) => withAgent(so, id, (agent) => ({ overrides: { ...agent.overrides, ...edit } })),
    now,
  );
  return {
    ...edited,
    ...(typeof situation === "string" ? { situation } : {}),
    ...(Array.isArray(paths) ? { connections: connectionsOf(paths as Path[], now.connections) } : {}),
    settings: {
      ...now.settings,
      ...("name" in event && event.name ? { name: event.name } : {}),
      ...settings,
    },
    tokens: 0,
  };
}

function connectionsOf(paths: readonly Path[], known: readonly Connection[]): Connection[] {
  return paths.map(({ from, to, kind = "normal" }) => {
    const before = known.find((path) => path.from === from && path.to === to);
    return { from, to, kind, strength: before?.strength ?? 0, active: kind === "normal" };
  });
}

function timed(now: Now, atMs: number): Now {
  return now.status === "running" ? { ...now, runningSinceMs: now.runningSinceMs ?? atMs } : ended(now, atMs);
}

/** The stretch that runs ends here. */
function ended(now: Now, atMs: number): Now {
  const since = now.runningSinceMs;
  return since === null
    ? now
    : { ...now, runningSinceMs: null, ranMs: now.ranMs + Math.max(0, atMs - since) };
}

const ENVELOPE = new Set(["type", "session_id", "gen", "seq", "prev", "timestamp", "agent_id", "actor"]);

/** What a settings event changes: its `changes`, or else its own fields. */
export function changesOf(event: object): Record<string, unknown> {
  if ("changes" in event && typeof event.changes === "object" && event.changes !== null) {
    return event.changes as Record<string, unknown>;
  }
  return Object.fromEntries(Object.entries(event).filter(([key]) => !ENVELOPE.has(key)));
}

export function wordCount(text: string): number {
  return text.split(/\s+/u).filter((word) => word !== "").length;
}

function asSentiment(value: Sentiment | number | null | undefined): Sentiment | null {
  if (typeof value !== "number") return value ?? null;
  return { score: value, label: value >= 0.05 ? "positive" : value <= -0.05 ? "negative" : "neutral" };
}

/** A score alone cannot tell mixed from neutral: the message that it is the score of can. */
function sameScore(known: Sentiment | null, told: Sentiment | null): Sentiment | null {
  return known !== null && known.score === told?.score ? known : told;
}

/** The agent as it stands now, where the server says so. */
function overridesOf({ temperature, model, muted, system_prompt }: AgentState): AgentPatch {
  return {
    temperature,
    muted,
    system_prompt,
    ...(model === undefined ? {} : { model }),
  };
}

function quiet(muted: boolean): AgentNow {
  return {
    state: muted ? "muted" : "waiting",
    lastUtterance: null,
    utterances: 0,
    words: 0,
    sentiment: null,
    guidance: [],
    rules: [],
    confidence: null,
    lastAction: null,
    overrides: {},
  };
}

function withAgent(now: Now, id: string, change: (agent: AgentNow) => Partial<AgentNow>): Now {
  // A person's words are in the conversation, but a person is not one of the agents.
  if (id === "user") return now;
  const agent = now.agents[id] ?? quiet(false);
  return { ...now, agents: { ...now.agents, [id]: { ...agent, ...change(agent) } } };
}

function without<T>(record: Readonly<Record<string, T>>, key: string): Readonly<Record<string, T>> {
  if (!(key in record)) return record;
  return Object.fromEntries(Object.entries(record).filter(([id]) => id !== key));
}
