import { callOpen, type Client } from "./client";
import type {
  AgentPatch,
  Cast,
  Command,
  Model,
  NewSession,
  Page,
  Session,
  SessionPatch,
  SetupState,
  StoredEvent,
  UtteranceContext,
} from "./types";

/** The calls this page makes, one line each. */
export class Api {
  readonly #client: Client;
  constructor(client: Client) {
    this.#client = client;
  }

  sessions = (query: { status?: string; q?: string; cursor?: string; limit?: number }) =>
    this.#client.call<Page<Session>>("/sessions", { query });
  session = (id: string) => this.#client.call<Session>(`/sessions/${id}`);
  createSession = (body: NewSession, idempotencyKey: string) =>
    this.#client.call<Session>("/sessions", { method: "POST", body, idempotencyKey });
  changeSession = (id: string, body: SessionPatch) =>
    this.#client.call<Session>(`/sessions/${id}`, { method: "PATCH", body });
  deleteSession = (id: string) => this.#client.call<undefined>(`/sessions/${id}`, { method: "DELETE" });
  changeAgent = (id: string, agentId: string, body: AgentPatch) =>
    this.#client.call<unknown>(`/sessions/${id}/agents/${agentId}`, { method: "PATCH", body });

  command = (id: string, command: Command, args: Record<string, unknown>, commandId: string) =>
    this.#client.call<{ seq: number }>(`/sessions/${id}/commands`, {
      method: "POST",
      body: { command_id: commandId, command, args },
    });

  events = (id: string, after: number, limit: number) =>
    this.#client.call<Page<StoredEvent>>(`/sessions/${id}/events`, { query: { after, limit } });
  context = (id: string, seq: number) =>
    this.#client.call<UtteranceContext>(`/sessions/${id}/utterances/${seq}/context`);

  casts = () => this.#client.call<Page<Cast>>("/casts");
  cast = (id: string) => this.#client.call<Cast>(`/casts/${id}`);
  models = () => this.#client.call<Page<Model>>("/models");
  systemStatus = () => this.#client.call<Record<string, unknown>>("/system/status");
}

export const setupState = () => callOpen<SetupState>("/setup");

export const register = (body: {
  username: string;
  email: string;
  password: string;
  display_name?: string;
  consent: true;
}) => callOpen<unknown>("/auth/register", { method: "POST", body });

export const resetOwnPassword = (body: { token: string; new_password: string }) =>
  callOpen<unknown>("/auth/password-reset", { method: "POST", body });

export const setUp = (body: { setup_code: string; username: string; email: string; password: string }) =>
  callOpen<unknown>("/setup", { method: "POST", body });
