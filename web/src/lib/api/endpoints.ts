import { callOpen, type Client } from "./client";
import type { components } from "./generated";
import type {
  AgentMessage,
  AgentPatch,
  Cast,
  Command,
  Comparison,
  ForkDraft,
  Interview,
  Model,
  NewSession,
  ExportQuery,
  Page,
  Path,
  Session,
  SessionPatch,
  SetupState,
  StoredEvent,
  UtteranceContext,
} from "./types";

type Schemas = components["schemas"];

/** The calls this page makes, one line each. */
export class Api {
  readonly #client: Client;
  constructor(client: Client) {
    this.#client = client;
  }

  sessions = (query: { status?: string; q?: string; tag?: string; cursor?: string; limit?: number }) =>
    this.#client.call<Page<Session>>("/sessions", { query });
  session = (id: string) => this.#client.call<Session>(`/sessions/${id}`);
  createSession = (body: NewSession, idempotencyKey: string) =>
    this.#client.call<Session>("/sessions", { method: "POST", body, idempotencyKey });
  changeSession = (id: string, body: SessionPatch) =>
    this.#client.call<Session>(`/sessions/${id}`, { method: "PATCH", body });
  deleteSession = (id: string) => this.#client.call<undefined>(`/sessions/${id}`, { method: "DELETE" });
  changeAgent = (id: string, agentId: string, body: AgentPatch) =>
    this.#client.call<unknown>(`/sessions/${id}/agents/${agentId}`, { method: "PATCH", body });

  changePaths = (id: string, paths: Path[]) =>
    this.#client.call<unknown>(`/sessions/${id}/paths`, { method: "PUT", body: { paths } });

  command = (id: string, command: Command, args: Record<string, unknown>, commandId: string) =>
    this.#client.call<{ seq: number }>(`/sessions/${id}/commands`, {
      method: "POST",
      body: { command_id: commandId, command, args },
    });

  events = (id: string, after: number, limit: number) =>
    this.#client.call<Page<StoredEvent>>(`/sessions/${id}/events`, { query: { after, limit } });
  context = (id: string, seq: number) =>
    this.#client.call<UtteranceContext>(`/sessions/${id}/utterances/${seq}/context`);

  annotate = (id: string, body: Schemas["Annotate"], idempotencyKey: string) =>
    this.#client.call<{ seq: number }>(`/sessions/${id}/annotations`, {
      method: "POST",
      body,
      idempotencyKey,
    });

  fork = (id: string, body: ForkDraft, idempotencyKey: string) =>
    this.#client.call<Session>(`/sessions/${id}/fork`, { method: "POST", body, idempotencyKey });

  interview = (id: string, agentId: string, question: string, signal: AbortSignal) =>
    this.#client.call<{ seq: number; interview: Interview }>(`/sessions/${id}/commands`, {
      method: "POST",
      body: { command: "interview", args: { agent_id: agentId, question } },
      signal,
    });
  compare = (ids: readonly string[], cursor: string | undefined, limit: number) =>
    this.#client.call<Comparison>("/sessions/compare", { query: { ids: ids.join(","), cursor, limit } });
  messages = (id: string, after: number, limit: number) =>
    this.#client.call<Page<AgentMessage>>(`/sessions/${id}/messages`, { query: { after, limit } });
  importSession = (file: Blob, idempotencyKey: string) =>
    this.#client.call<Session>("/sessions/import", {
      method: "POST",
      raw: { type: "application/jsonl", body: file },
      idempotencyKey,
    });

  casts = () => this.#client.call<Page<Cast>>("/casts");
  cast = (id: string) => this.#client.call<Cast>(`/casts/${id}`);
  castAsToml = (id: string) => this.#client.download(`/casts/${id}`, { accept: "application/toml" });
  createCast = (type: "application/json" | "application/toml", text: string) =>
    this.#client.call<Cast>("/casts", { method: "POST", raw: { type, body: text } });
  exportSession = (id: string, query: ExportQuery, onbytes?: (bytes: number) => void) =>
    this.#client.download(`/sessions/${id}/export`, {
      query: { ...query },
      accept: "*/*",
      ...(onbytes === undefined ? {} : { onbytes }),
    });
  models = () => this.#client.call<Page<Model>>("/models");
  systemStatus = () => this.#client.call<Schemas["SystemStatus"]>("/system/status");
}

export const setupState = () => callOpen<SetupState>("/setup");

export const register = (body: Schemas["Register"]) =>
  callOpen<unknown>("/auth/register", { method: "POST", body });

export const resetOwnPassword = (body: Schemas["PasswordReset"]) =>
  callOpen<unknown>("/auth/password-reset", { method: "POST", body });

export const setUp = (body: Schemas["Setup"]) => callOpen<unknown>("/setup", { method: "POST", body });
