/** One open session as the page sees it: the link, the log, the playhead, live tokens, who is here. */
import type { Api } from "$lib/api/endpoints";
import { asApiError, type ApiError } from "$lib/api/errors";
import type {
  Agent,
  Annotation,
  Cast,
  Command,
  Model,
  Participant,
  ServerFrame,
  Session,
  SystemStatus,
} from "$lib/api/types";
import { Batcher } from "$lib/realtime/batcher";
import { Connection, type ClosedBecause, type Link } from "$lib/realtime/connection";
import { isStored } from "$lib/realtime/protocol";
import { socketUrl } from "$lib/realtime/url";
import type { Now } from "./fold";
import { loadHistory } from "./history";
import { newId } from "./ids";
import { Log } from "./log";
import { Playback } from "./playback.svelte";
import { hear, settle, type Speaking } from "./speaking";

const RATE_WINDOW_MS = 1000;
/** Five times a second is as often as a figure beside the words can be read. */
const CALM_MS = 200;

export interface SessionOptions {
  api: Api;
  token: () => string | null;
  renewToken: () => Promise<boolean>;
}

export class SessionStore {
  readonly id: string;
  readonly #options: SessionOptions;
  readonly #connection: Connection;
  readonly #batcher = new Batcher<ServerFrame>((batch) => this.#take(batch));
  #clock: ReturnType<typeof setInterval> | undefined;
  #calming: ReturnType<typeof setTimeout> | undefined;
  #calmedMs = 0;
  #received = 0;
  #closed = false;
  #noted: { of: unknown; count: number } = { of: null, count: 0 };
  #log: Log | null = null;
  #online = () => this.#connection.network(true);
  #offline = () => this.#connection.network(false);

  /** Rises whenever the log has grown: what derived values depend on. */
  #version = $state(0);
  session = $state.raw<Session | null>(null);
  /** Set only when it changes: every row of the page reads it, and none must wake for each event. */
  agents = $state.raw<Agent[]>([]);
  cast = $state.raw<Cast | null>(null);
  model = $state.raw<Model | null>(null);
  link = $state<Link>("connecting");
  closedBecause = $state<ClosedBecause | null>(null);
  staleSinceMs = $state<number | null>(null);
  framesPerSecond = $state(0);
  nowMs = $state(Date.now());
  speaking = $state.raw<Speaking>({});
  presence = $state.raw<Participant[]>([]);
  system = $state.raw<SystemStatus | null>(null);
  loadError = $state.raw<ApiError | null>(null);
  historyError = $state.raw<ApiError | null>(null);
  commandError = $state.raw<{ command: Command; error: ApiError } | null>(null);
  pending = $state<Command | null>(null);
  /** The mark looked at, or null when following live. */
  playhead = $state<number | null>(null);
  /** The selected event. */
  selected = $state<number | null>(null);
  /** The event that a note is being written on. */
  noting = $state<number | null>(null);
  readonly playback = new Playback(this);
  /** Notes come seldom, and every row reads them: they wake nobody for other events. */
  #notes = $state.raw<ReadonlyMap<number, readonly Annotation[]>>(new Map());

  readonly log = $derived.by(() => {
    void this.#version;
    return this.#log === null ? null : { of: this.#log };
  });
  /** State of the newest event. */
  readonly live = $derived.by((): Now | null => this.log?.of.head ?? null);
  readonly status = $derived.by(() => this.live?.status ?? null);
  readonly marks = $derived.by(() => this.log?.of.columns.marks ?? []);
  readonly markCount = $derived.by(() => this.log?.of.columns.marks.length ?? 0);
  /** The last place that is shown: the playhead's, or infinitely late. */
  readonly until = $derived.by(() => {
    if (this.playhead === null || this.log === null) return Infinity;
    return this.playhead === 0
      ? Math.max(0, (this.marks[0]?.seq ?? 1) - 1)
      : this.log.of.endOfMark(this.playhead - 1);
  });
  /** State of the newest event, and who speaks, a moment ago: for what stands beside the words and is glanced at. */
  calm = $state.raw<Now | null>(null);
  heard = $state.raw<Speaking>({});
  /** State at the playhead. */
  readonly now = $derived.by((): Now | null => this.log?.of.at(this.until) ?? null);
  readonly complete = $derived.by(() => this.log?.of.complete ?? false);
  readonly name = $derived.by(() => {
    const changed = this.live?.settings.name;
    return typeof changed === "string" ? changed : (this.session?.name ?? "Session");
  });

  constructor(id: string, options: SessionOptions) {
    this.id = id;
    this.#options = options;
    this.#connection = new Connection({
      url: socketUrl(id),
      token: options.token,
      renewToken: options.renewToken,
      onFrame: (frame) => {
        this.#received += 1;
        this.#batcher.push(frame);
      },
      onLink: (link, because) => this.#linked(link, because),
    });
  }

  async open(): Promise<void> {
    addEventListener("online", this.#online);
    addEventListener("offline", this.#offline);
    this.#clock ??= setInterval(() => this.#second(), RATE_WINDOW_MS);
    await this.load();
  }

  close(): void {
    this.#closed = true;
    this.playback.pause();
    removeEventListener("online", this.#online);
    removeEventListener("offline", this.#offline);
    clearInterval(this.#clock);
    clearTimeout(this.#calming);
    this.#connection.close();
    this.#batcher.clear();
  }

  /** Session, cast and model first; then the socket, which brings the state. */
  async load(): Promise<void> {
    this.loadError = null;
    try {
      const session = await this.#options.api.session(this.id);
      const [cast, models] = await Promise.all([
        this.#options.api.cast(session.cast_id).catch(() => null),
        this.#options.api.models().catch(() => null),
      ]);
      this.session = session;
      this.cast = cast;
      this.model = models?.items.find((model) => model.id === session.model) ?? null;
      this.#connection.open();
    } catch (cause) {
      this.loadError = asApiError(cause);
    }
  }

  async send(command: Command, args: Record<string, unknown> = {}): Promise<boolean> {
    this.commandError = null;
    this.pending = command;
    try {
      await this.#options.api.command(this.id, command, args, newId());
      return true;
    } catch (cause) {
      this.commandError = { command, error: asApiError(cause) };
      return false;
    } finally {
      this.pending = null;
    }
  }

  /** Moves the playhead; past the last mark it follows live again. */
  seek(mark: number): void {
    this.playhead = mark >= this.markCount ? null : Math.max(0, mark);
  }

  seekTurn(turn: number): void {
    const index = this.marks.findIndex((mark) => mark.turn >= turn);
    this.seek(index < 0 ? this.markCount : index + 1);
  }

  notesOn(seq: number): readonly Annotation[] {
    return this.#notes.get(seq) ?? [];
  }

  async annotate(seq: number, text: string, tags: string[]): Promise<void> {
    await this.#options.api.annotate(this.id, { seq, text, tags }, newId());
  }

  /** Loads what lies before the loaded part. */
  async loadHistory(): Promise<void> {
    const log = this.#log;
    if (log === null) return;
    this.historyError = null;
    try {
      await loadHistory(log, {
        page: (after, limit) => this.#options.api.events(this.id, after, limit),
        wanted: () => this.#log === log && this.link !== "closed" && !this.#closed,
        grew: () => this.#grew(),
        wait: (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
      });
    } catch (cause) {
      if (this.#log === log) this.historyError = asApiError(cause);
    }
  }

  #take(batch: ServerFrame[]): void {
    let grown = false;
    let speaking = this.speaking;
    for (const frame of batch) {
      if (isStored(frame)) {
        this.#log?.append(frame);
        speaking = settle(speaking, frame);
        grown = true;
        continue;
      }
      switch (frame.type) {
        case "snapshot":
          this.#begin(frame.session, frame);
          speaking = {};
          grown = true;
          break;
        case "delta":
          speaking = hear(speaking, frame);
          break;
        case "presence":
          this.presence = frame.users;
          break;
        case "system_status":
          this.system = frame;
          break;
        default:
      }
    }
    this.speaking = speaking;
    if (grown) this.#grew();
    const wait = this.#calmedMs + CALM_MS - Date.now();
    if (wait <= 0) this.#calm();
    else this.#calming ??= setTimeout(() => this.#calm(), wait);
  }

  #grew(): void {
    this.#version += 1;
    const log = this.#log;
    if (log !== null && this.cast !== log.cast && log.complete) this.cast = log.cast;
    if (log !== null && (this.#noted.of !== log.notes || this.#noted.count !== log.noted)) {
      this.#noted = { of: log.notes, count: log.noted };
      this.#notes = new Map(log.notes);
    }
    const agents = agentsOf(this.cast, this.#log?.head ?? null);
    const same =
      agents.length === this.agents.length && agents.every((agent, at) => agent.id === this.agents[at]?.id);
    // With a cast, the first agent is the cast's own object: another object, another cast.
    const sameCast = this.cast === null || agents[0] === this.agents[0];
    if (!same || !sameCast) this.agents = agents;
  }

  #calm(): void {
    clearTimeout(this.#calming);
    this.#calming = undefined;
    this.#calmedMs = Date.now();
    this.calm = this.#log?.head ?? null;
    this.heard = this.speaking;
  }

  #begin(session: Session, frame: Extract<ServerFrame, { type: "snapshot" }>): void {
    this.session = session;
    this.#log = new Log(session, frame.state, frame.seq, this.cast);
    if (this.presence.length === 0) this.presence = frame.state.participants;
    void this.loadHistory();
  }

  #linked(link: Link, because: ClosedBecause | undefined): void {
    this.link = link;
    this.closedBecause = because ?? null;
    this.staleSinceMs = link === "live" ? null : (this.staleSinceMs ?? Date.now());
    if (link !== "live") this.framesPerSecond = 0;
    // What failed because nobody answered is no news once somebody does.
    else if (this.commandError?.error.status === 0) this.commandError = null;
  }

  #second(): void {
    this.framesPerSecond = this.#received;
    this.#received = 0;
    // Running time stands still while nobody can say that the session runs.
    if (this.link === "live") this.nowMs = Date.now();
  }
}

/** The cast's agents; then those the cast does not name, by their id. */
function agentsOf(cast: Cast | null, now: Now | null): Agent[] {
  const known = cast?.agents ?? [];
  const ids = new Set(known.map((agent) => agent.id));
  const strangers = Object.keys(now?.agents ?? {}).filter((id) => !ids.has(id));
  return [...known, ...strangers.map(stranger)];
}

function stranger(id: string): Agent {
  const colour = { dark: "currentColor", light: "currentColor" };
  return { id, name: id, colour, shape: "circle", system_prompt: "", temperature: 0, muted: false };
}
