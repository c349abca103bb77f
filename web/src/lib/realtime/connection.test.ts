import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ServerFrame } from "$lib/api/types";
import { Connection, type ClosedBecause, type Link, type Socket } from "./connection";

class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sent: Record<string, unknown>[] = [];
  closed = false;
  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close(): void {
    this.closed = true;
  }
  deliver(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

function setUp(renew: () => Promise<boolean> = () => Promise.resolve(true), newsOnly = false) {
  const sockets: FakeSocket[] = [];
  const frames: ServerFrame[] = [];
  const links: Link[] = [];
  let ended: ClosedBecause | undefined;
  let token: string | null = "t1";
  const connection = new Connection({
    url: "ws://test/ws/1",
    token: () => token,
    renewToken: renew,
    newsOnly,
    onFrame: (frame) => frames.push(frame),
    onLink: (link, because) => {
      links.push(link);
      ended = because;
    },
    openSocket: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    random: () => 0.5,
  });
  connection.open();
  const latest = () => {
    const socket = sockets.at(-1);
    if (socket === undefined) throw new Error("no socket was opened");
    return socket;
  };
  return {
    connection,
    sockets,
    frames,
    links,
    latest,
    ended: () => ended,
    setToken: (value: string | null) => (token = value),
    seqs: () => frames.flatMap((frame) => ("seq" in frame && "prev" in frame ? [frame.seq] : [])),
    /** Opens the newest socket and gives it a snapshot at `seq`. */
    begin: (seq: number, gen = 1) => {
      latest().onopen?.();
      latest().deliver({ type: "snapshot", gen, seq, session: {}, state: {}, reason: "cold" });
    },
  };
}

const event = (seq: number, prev = seq - 1, gen = 1) => ({
  type: "whatever",
  session_id: "1",
  gen,
  seq,
  prev,
  timestamp: "",
});

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("first connection", () => {
  it("sends the token in the first message, with an empty subscription", () => {
    const { latest } = setUp();
    latest().onopen?.();
    expect(latest().sent).toEqual([{ type: "auth", token: "t1", subscribe: {} }]);
  });

  it("is live after the snapshot and passes events of unknown types on", () => {
    const { begin, latest, links, seqs, connection } = setUp();
    begin(10);
    latest().deliver(event(11));
    latest().deliver(event(12));
    expect(links).toEqual(["connecting", "live"]);
    expect(seqs()).toEqual([11, 12]);
    expect(connection.cursor).toEqual({ gen: 1, seq: 12 });
  });

  it("survives a frame that is not JSON", () => {
    const { begin, latest, seqs } = setUp();
    begin(10);
    latest().onmessage?.({ data: "{nonsense" });
    latest().deliver(event(11));
    expect(seqs()).toEqual([11]);
  });
});

describe("gaps", () => {
  it("asks again from the last good place and drops what follows until the server begins anew", () => {
    const { begin, latest, seqs } = setUp();
    begin(10);
    latest().deliver(event(11));
    latest().deliver(event(13, 12));
    latest().deliver(event(14));
    expect(latest().sent.at(-1)).toEqual({ type: "subscribe", cursor: { gen: 1, seq: 11 } });
    expect(latest().sent.filter((frame) => frame.type === "subscribe")).toHaveLength(1);
    latest().deliver({ type: "resume", gen: 1, seq: 14 });
    for (const seq of [12, 13, 14]) latest().deliver(event(seq));
    expect(seqs()).toEqual([11, 12, 13, 14]);
  });

  it("takes no event twice", () => {
    const { begin, latest, seqs } = setUp();
    begin(10);
    for (const seq of [11, 12, 12, 11, 13]) latest().deliver(event(seq));
    expect(seqs()).toEqual([11, 12, 13]);
  });

  it("accepts a filtered view, whose prev skips, and moves the cursor by position", () => {
    const { begin, latest, seqs, connection } = setUp();
    begin(10);
    latest().deliver(event(15, 10));
    latest().deliver({ type: "position", gen: 1, seq: 20 });
    latest().deliver(event(22, 15));
    expect(seqs()).toEqual([15, 22]);
    expect(connection.cursor).toEqual({ gen: 1, seq: 22 });
  });

  it("does not take an event of another generation", () => {
    const { begin, latest, seqs } = setUp();
    begin(10);
    latest().deliver(event(11, 10, 2));
    expect(seqs()).toEqual([]);
    expect(latest().sent.at(-1)).toMatchObject({ type: "subscribe" });
  });
});

describe("reconnecting", () => {
  it("comes back with its cursor and goes on without a repeat", () => {
    const { begin, latest, sockets, seqs, links } = setUp();
    begin(10);
    latest().deliver(event(11));
    latest().onclose?.({ code: 1012 });
    expect(links.at(-1)).toBe("reconnecting");
    vi.advanceTimersByTime(250);
    expect(sockets).toHaveLength(2);
    latest().onopen?.();
    expect(latest().sent).toEqual([
      { type: "auth", token: "t1", subscribe: { cursor: { gen: 1, seq: 11 } } },
    ]);
    latest().deliver({ type: "resume", gen: 1, seq: 12 });
    latest().deliver(event(12));
    expect(seqs()).toEqual([11, 12]);
    expect(links.at(-1)).toBe("live");
  });

  it("waits longer after each failure, up to the cap", () => {
    const { latest, sockets } = setUp();
    const waits: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      const before = sockets.length;
      latest().onclose?.({ code: 1006 });
      let waited = 0;
      while (sockets.length === before) {
        vi.advanceTimersByTime(1);
        waited += 1;
      }
      waits.push(waited);
    }
    // Half certain, half chance (0.5 here): three quarters of 250, 500, 1000 …
    expect(waits.slice(0, 4)).toEqual([187, 375, 750, 1500]);
    expect(waits.at(-1)).toBe(1500);
  });

  it("honours the wait that a bye asks for", () => {
    const { begin, latest, sockets } = setUp();
    begin(10);
    latest().deliver({ type: "bye", code: 1012, retry_after_ms: 3000, cursor: { gen: 1, seq: 10 } });
    latest().onclose?.({ code: 1012 });
    vi.advanceTimersByTime(2999);
    expect(sockets).toHaveLength(1);
    vi.advanceTimersByTime(300);
    expect(sockets).toHaveLength(2);
  });

  it("shows stale data 1 s after an unanswered ping and gives the socket up after 6 s", () => {
    const { begin, latest, links, sockets } = setUp();
    begin(10);
    vi.advanceTimersByTime(20_000);
    expect(latest().sent.at(-1)).toEqual({ type: "ping" });
    vi.advanceTimersByTime(1_000);
    expect(links.at(-1)).toBe("stale");
    vi.advanceTimersByTime(5_300);
    expect(sockets).toHaveLength(2);
    expect(sockets[0]?.closed).toBe(true);
  });

  it("is live again when the pong comes late", () => {
    const { begin, latest, links } = setUp();
    begin(10);
    vi.advanceTimersByTime(21_500);
    latest().deliver({ type: "pong" });
    expect(links.at(-1)).toBe("live");
    vi.advanceTimersByTime(10_000);
    expect(latest().closed).toBe(false);
  });

  it("is offline while the browser is, and back at once", () => {
    const { begin, connection, links, sockets } = setUp();
    begin(10);
    connection.network(false);
    expect(links.at(-1)).toBe("offline");
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
    connection.network(true);
    expect(sockets).toHaveLength(2);
  });
});

describe("ends", () => {
  it.each([
    [4003, "forbidden"],
    [4004, "missing"],
  ])("a close with %i is final", (code, because) => {
    const { begin, latest, ended, sockets, links } = setUp();
    begin(10);
    latest().onclose?.({ code });
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
    expect(links.at(-1)).toBe("closed");
    expect(ended()).toBe(because);
  });

  it("renews the token after 4001 and connects again", async () => {
    const renew = vi.fn(() => Promise.resolve(true));
    const { begin, latest, sockets, setToken } = setUp(renew);
    begin(10);
    setToken("t2");
    latest().onclose?.({ code: 4001 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(renew).toHaveBeenCalledTimes(1);
    expect(sockets).toHaveLength(2);
    latest().onopen?.();
    expect(latest().sent[0]).toMatchObject({ token: "t2" });
  });

  it("ends when the sign-in cannot be renewed", async () => {
    const { begin, latest, sockets, ended, setToken } = setUp(() => Promise.resolve(false));
    begin(10);
    setToken(null);
    latest().onclose?.({ code: 4001 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets).toHaveLength(1);
    expect(ended()).toBe("signed-out");
  });

  it("sends a fresh token when the server asks for one, on the same socket", async () => {
    const { begin, latest, sockets, setToken } = setUp();
    begin(10);
    setToken("t2");
    latest().deliver({ type: "auth_required", expires_at: "" });
    await vi.advanceTimersByTimeAsync(0);
    expect(latest().sent.at(-1)).toEqual({ type: "auth", token: "t2" });
    expect(sockets).toHaveLength(1);
  });

  it("stays closed once it was closed", () => {
    const { begin, connection, sockets } = setUp();
    begin(10);
    connection.close();
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
  });
});

describe("a stream of news without a log", () => {
  it("is live from the sign-in on, and passes frames with numbers on as they come", () => {
    const { latest, links, frames } = setUp(undefined, true);
    latest().onopen?.();
    expect(links).toEqual(["connecting"]);
    latest().deliver({ type: "auth_ok", user: {}, expires_at: "" });
    expect(links).toEqual(["connecting", "live"]);
    latest().deliver({ type: "audit", seq: 9, prev: 4 });
    latest().deliver({ type: "audit", seq: 7, prev: 1 });
    expect(frames.map((frame) => ("seq" in frame ? frame.seq : frame.type))).toEqual(["auth_ok", 9, 7]);
  });

  it("comes back after a break without a cursor", () => {
    const { latest, links, sockets } = setUp(undefined, true);
    latest().onopen?.();
    latest().deliver({ type: "auth_ok", user: {}, expires_at: "" });
    latest().onclose?.({ code: 1006 });
    vi.advanceTimersByTime(1000);
    expect(sockets).toHaveLength(2);
    latest().onopen?.();
    expect(latest().sent).toEqual([{ type: "auth", token: "t1", subscribe: {} }]);
    latest().deliver({ type: "auth_ok", user: {}, expires_at: "" });
    expect(links.at(-1)).toBe("live");
  });
});
