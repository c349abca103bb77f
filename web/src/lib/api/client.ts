import { brokenOff, readError, unreachable } from "./errors";

export interface Call {
  method?: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  body?: unknown;
  /** A body that is not JSON, under its media type; instead of `body`. */
  raw?: { type: string; body: Blob | string };
  /** What is taken as an answer; JSON when absent. */
  accept?: string;
  query?: Record<string, string | number | undefined>;
  signal?: AbortSignal;
  /** Sent as `Idempotency-Key`, so that a repeated POST acts once. */
  idempotencyKey?: string;
}

/** Where the access token comes from, and how to get a new one after a 401. */
export interface TokenSource {
  accessToken(): string | null;
  /** Resolves to true when there is a new token to retry with. */
  renew(): Promise<boolean>;
}

export type Transport = (url: string, init: RequestInit) => Promise<Response>;

/** Relative, so that the dashboard also works below a path prefix. */
export const API_BASE = "api/v1";

export class Client {
  readonly #tokens: TokenSource;
  readonly #transport: Transport;

  constructor(tokens: TokenSource, transport: Transport = (url, init) => fetch(url, init)) {
    this.#tokens = tokens;
    this.#transport = transport;
  }

  async call<T>(path: string, call: Call = {}): Promise<T> {
    return read<T>(await this.#send(path, call));
  }

  /** A file, and the name the server gave it. `onbytes` hears how much has come. */
  async download(
    path: string,
    call: Call & { onbytes?: (bytes: number) => void } = {},
  ): Promise<{ blob: Blob; name: string | null; headers: Headers }> {
    const response = await this.#send(path, call);
    if (!response.ok) throw await readError(response);
    const { headers } = response;
    const disposition = headers.get("Content-Disposition") ?? "";
    const name = /filename="?(\w[\w.-]*)"?\s*(?:;|$)/u.exec(disposition)?.[1] ?? null;
    if (response.body === null) return { blob: await response.blob(), name, headers };
    const parts: BlobPart[] = [];
    let bytes = 0;
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        throw brokenOff();
      });
      if (done) break;
      parts.push(value);
      bytes += value.byteLength;
      call.onbytes?.(bytes);
    }
    return { blob: new Blob(parts, { type: headers.get("Content-Type") ?? "" }), name, headers };
  }

  /** Sends with the access token; a 401 is answered by one renewal and one retry. */
  async #send(path: string, call: Call): Promise<Response> {
    const first = await send(this.#transport, path, call, this.#tokens.accessToken());
    if (first.status !== 401) return first;
    const refusal = await readError(first);
    // It names a field: what was typed is wrong, not the token. Sent again it would count as a second guess.
    if (refusal.details.length > 0 || !(await this.#tokens.renew())) throw refusal;
    return send(this.#transport, path, call, this.#tokens.accessToken());
  }
}

/** A call that needs no token: setup, sign-in, refresh. */
export async function callOpen<T>(
  path: string,
  call: Call = {},
  transport: Transport = (url, init) => fetch(url, init),
): Promise<T> {
  return read<T>(await send(transport, path, call, null));
}

async function send(transport: Transport, path: string, call: Call, token: string | null): Promise<Response> {
  const headers: Record<string, string> = { Accept: call.accept ?? "application/json" };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (call.body !== undefined) headers["Content-Type"] = "application/json";
  if (call.raw !== undefined) headers["Content-Type"] = call.raw.type;
  if (call.idempotencyKey !== undefined) headers["Idempotency-Key"] = call.idempotencyKey;
  const init: RequestInit = {
    method: call.method ?? "GET",
    headers,
    credentials: "same-origin",
    cache: "no-store",
    ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
    ...(call.raw === undefined ? {} : { body: call.raw.body }),
    ...(call.signal === undefined ? {} : { signal: call.signal }),
  };
  try {
    return await transport(`${API_BASE}${path}${queryOf(call)}`, init);
  } catch (cause) {
    if (call.signal?.aborted === true) throw cause;
    throw unreachable();
  }
}

async function read<T>(response: Response): Promise<T> {
  if (!response.ok) throw await readError(response);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

function queryOf(call: Call): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined && value !== "") query.set(key, String(value));
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}
