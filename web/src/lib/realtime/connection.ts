import type { Cursor, ServerFrame, StoredEvent } from "$lib/api/types";
import { Backoff } from "./backoff";
import { closeMeaning, isStored, parseFrame, SUBPROTOCOL, type ClientFrame } from "./protocol";

/** `stale`: the socket is open but silent; what is shown may be old. `closed`: for good, with a reason. */
export type Link = "connecting" | "live" | "stale" | "reconnecting" | "offline" | "closed";
export type ClosedBecause = "forbidden" | "missing" | "signed-out";

export interface Socket {
  send(text: string): void;
  close(code?: number): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
}

export interface ConnectionOptions {
  url: string;
  token: () => string | null;
  renewToken: () => Promise<boolean>;
  /** Every stored event exactly once and in order, and every other frame a reader needs. */
  onFrame: (frame: ServerFrame) => void;
  onLink: (link: Link, because?: ClosedBecause) => void;
  /** A stream without a log behind it, as the system's: live from the sign-in on, and nothing is caught up. */
  newsOnly?: boolean;
  openSocket?: (url: string, protocol: string) => Socket;
  random?: () => number;
}

const PING_EVERY_MS = 20_000;
/** A ping unanswered for this long shows the data as stale … */
const STALE_AFTER_MS = 1_000;
/** … and for this long ends the socket. */
const DEAD_AFTER_MS = 6_000;
const BACKOFF_BASE_MS = 250;
/** Nobody waits longer than this for a server that is back; what a server asks for comes on top. */
const BACKOFF_CAP_MS = 2_000;

/**
 * One socket to one session, kept alive. Live, catch-up and reconnect are one path: say the cursor, take what
 * comes, and check `prev` on every stored event. On a gap it asks again from the last good cursor.
 */
export class Connection {
  readonly #options: Required<ConnectionOptions>;
  readonly #backoff: Backoff;
  #socket: Socket | null = null;
  #cursor: Cursor | null = null;
  /** Last stored event seen: what the next event's `prev` must name. */
  #lastSeen = 0;
  /** After a gap, events are dropped until the server confirms the new start. */
  #awaitingStart = false;
  #askAgainFromMs = 0;
  #wanted = false;
  #link: Link = "connecting";
  #timers = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(options: ConnectionOptions) {
    this.#options = { openSocket: browserSocket, random: Math.random, newsOnly: false, ...options };
    this.#backoff = new Backoff(BACKOFF_BASE_MS, BACKOFF_CAP_MS, this.#options.random);
  }

  get cursor(): Cursor | null {
    return this.#cursor;
  }

  open(): void {
    this.#wanted = true;
    this.#connect();
  }

  close(): void {
    this.#wanted = false;
    this.#drop();
  }

  /** The browser says the network is gone or back. */
  network(online: boolean): void {
    if (!this.#wanted) return;
    if (!online) {
      this.#drop();
      this.#say("offline");
    } else if (this.#socket === null) {
      this.#backoff.reset();
      this.#connect();
    }
  }

  send(frame: ClientFrame): void {
    this.#socket?.send(JSON.stringify(frame));
  }

  #connect(): void {
    this.#drop();
    const token = this.#options.token();
    if (token === null) {
      void this.#renewThenConnect();
      return;
    }
    this.#say(this.#cursor === null ? "connecting" : "reconnecting");
    const socket = this.#options.openSocket(this.#options.url, SUBPROTOCOL);
    this.#socket = socket;
    this.#awaitingStart = true;
    socket.onopen = () => {
      const cursor = this.#cursor;
      this.send({ type: "auth", token, subscribe: cursor === null ? {} : { cursor } });
    };
    socket.onmessage = ({ data }) => {
      const frame = typeof data === "string" ? parseFrame(data) : null;
      if (frame !== null) this.#receive(frame);
    };
    socket.onclose = ({ code }) => {
      if (this.#socket === socket) this.#closed(code);
    };
  }

  #receive(frame: ServerFrame): void {
    this.#heard();
    if (isStored(frame) && !this.#options.newsOnly) {
      this.#stored(frame);
      return;
    }
    switch (frame.type) {
      case "auth_ok":
        if (this.#options.newsOnly) this.#begun();
        this.#options.onFrame(frame);
        return;
      case "snapshot":
        this.#startAt(frame);
        this.#options.onFrame(frame);
        return;
      case "resume":
        // The cursor stays: the events between it and the server's position follow.
        this.#begun();
        return;
      case "position":
        if (this.#cursor?.gen === frame.gen) this.#cursor = { gen: frame.gen, seq: frame.seq };
        return;
      case "bye":
        this.#askAgainFromMs = frame.retry_after_ms;
        return;
      case "auth_required":
        void this.#renewInPlace();
        return;
      default:
        this.#options.onFrame(frame);
    }
  }

  #stored(event: StoredEvent): void {
    if (this.#awaitingStart || this.#cursor === null) return;
    const sameLog = event.gen === this.#cursor.gen;
    if (sameLog && event.seq <= this.#lastSeen) return;
    const follows = sameLog && (event.prev === this.#lastSeen || event.prev === this.#cursor.seq);
    if (!follows) {
      this.#askAgain();
      return;
    }
    this.#cursor = { gen: event.gen, seq: event.seq };
    this.#lastSeen = event.seq;
    this.#options.onFrame(event);
  }

  /** Something is missing: from the last good place again, on the same socket. */
  #askAgain(): void {
    if (this.#cursor === null) return;
    this.#awaitingStart = true;
    this.send({ type: "subscribe", cursor: { gen: this.#cursor.gen, seq: this.#lastSeen } });
  }

  #startAt(cursor: Cursor): void {
    this.#cursor = { gen: cursor.gen, seq: cursor.seq };
    this.#lastSeen = cursor.seq;
    this.#begun();
  }

  #begun(): void {
    this.#awaitingStart = false;
    this.#askAgainFromMs = 0;
    this.#backoff.reset();
    this.#say("live");
    this.#schedulePing();
  }

  #closed(code: number): void {
    this.#drop();
    const meaning = closeMeaning(code);
    if (meaning === "forbidden" || meaning === "missing") {
      this.#end(meaning);
    } else if (meaning === "sign-in") {
      void this.#renewThenConnect();
    } else {
      this.#reconnectLater();
    }
  }

  async #renewThenConnect(): Promise<void> {
    this.#say(this.#cursor === null ? "connecting" : "reconnecting");
    const renewed = await this.#options.renewToken();
    if (!this.#wanted) return;
    if (renewed) this.#reconnectLater();
    else if (this.#options.token() === null) this.#end("signed-out");
    else this.#reconnectLater();
  }

  async #renewInPlace(): Promise<void> {
    if (!(await this.#options.renewToken())) return;
    const token = this.#options.token();
    if (token !== null) this.send({ type: "auth", token });
  }

  #reconnectLater(): void {
    if (!this.#wanted) return;
    this.#say(this.#cursor === null ? "connecting" : "reconnecting");
    const wait = this.#backoff.next(this.#askAgainFromMs);
    this.#askAgainFromMs = 0;
    this.#after("reconnect", wait, () => this.#connect());
  }

  #end(because: ClosedBecause): void {
    this.#wanted = false;
    this.#link = "closed";
    this.#options.onLink("closed", because);
  }

  #schedulePing(): void {
    this.#after("ping", PING_EVERY_MS, () => {
      this.send({ type: "ping" });
      this.#after("stale", STALE_AFTER_MS, () => this.#say("stale"));
      this.#after("dead", DEAD_AFTER_MS, () => {
        this.#drop();
        this.#reconnectLater();
      });
      this.#schedulePing();
    });
  }

  #heard(): void {
    this.#cancel("stale");
    this.#cancel("dead");
    if (this.#link === "stale") this.#say("live");
  }

  #drop(): void {
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #say(link: Link): void {
    if (this.#link === link && link !== "connecting") return;
    this.#link = link;
    this.#options.onLink(link);
  }

  #after(name: string, ms: number, work: () => void): void {
    this.#cancel(name);
    this.#timers.set(name, setTimeout(work, ms));
  }

  #cancel(name: string): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

function browserSocket(url: string, protocol: string): Socket {
  return new WebSocket(url, protocol) as Socket;
}
