import type { Cursor, ServerFrame, StoredEvent } from "$lib/api/types";

export const SUBPROTOCOL = "psyche.v1";

export type ClientFrame =
  | { type: "auth"; token: string; subscribe?: Subscription }
  | { type: "subscribe"; cursor?: Cursor; deltas?: boolean }
  | { type: "ui_interaction"; action: string; data: Record<string, unknown> }
  | { type: "ping" };

export interface Subscription {
  cursor?: Cursor;
  deltas?: boolean;
}

/** A frame as sent by the server, or null when the text is none: a broken frame must not break the page. */
export function parseFrame(text: string): ServerFrame | null {
  try {
    const value: unknown = JSON.parse(text);
    const isFrame = typeof value === "object" && value !== null && "type" in value;
    return isFrame && typeof value.type === "string" ? (value as ServerFrame) : null;
  } catch {
    return null;
  }
}

/** Stored events, of known and unknown types alike, are told by their place in the log. */
export function isStored(frame: ServerFrame): frame is StoredEvent {
  return "seq" in frame && "prev" in frame && typeof frame.prev === "number";
}

/** What the codes of a close mean for the reader. */
export function closeMeaning(code: number): "sign-in" | "forbidden" | "missing" | "retry" {
  if (code === 4001 || code === 4008) return "sign-in";
  if (code === 4003) return "forbidden";
  if (code === 4004) return "missing";
  return "retry";
}
