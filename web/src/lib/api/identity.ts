/** Calls about people: one's own account, and what administrators do. Loaded with the pages that need them. */
import type { Client } from "./client";
import type { components } from "./generated";
import type { Page, SignedInUser } from "./types";

type Schemas = components["schemas"];

export type Role = Schemas["Role"];
export type User = Schemas["User"];
export type Device = Schemas["Device"];
export type CreatedUser = Schemas["CreatedUser"];
export type Relation = Schemas["Relation"];
export type Person = Schemas["Participant"];
export type Done = Schemas["Done"];

export interface Mfa {
  enabled: boolean;
  /** The person's role demands it. */
  required: boolean;
  recovery_codes_left: number;
}
export interface Consent {
  version: string;
  at: string;
}
export type Profile = Schemas["Profile"] & { mfa: Mfa; consents: Consent[] };
export interface ProfilePatch {
  display_name?: string;
  email?: string;
  consent?: string;
}

/** What a dangerous call asks for again: the password, and the second factor of those who have one. */
export interface Proof {
  password: string;
  otp?: string;
}

export type Severity = "low" | "medium" | "high" | "critical";
export interface AuditRow {
  seq: number;
  event_id: string;
  event_type: string;
  severity: Severity;
  timestamp: string;
  user_id?: string | null;
  username?: string | null;
  session_id?: string | null;
  ip_address?: string | null;
  request_id?: string | null;
  outcome: "success" | "failure" | "denied";
  details: Record<string, unknown>;
}
export interface AuditQuery {
  event_type?: string;
  user_id?: string;
  severity?: string;
  start_time?: string;
  end_time?: string;
  order?: "oldest" | "newest";
  limit?: number;
  cursor?: string;
}
export interface ChainCheck {
  whole: boolean;
  rows: number;
  first_seq?: number | null;
  last_seq?: number | null;
  checkpoint: { seq: number; timestamp: string } | null;
  problems: { seq: number; what: string }[];
}
export interface BlockedAddress {
  ip: string;
  reason: string;
  blocked_at: string;
  until: string;
  times: number;
}
export interface Alert {
  alert_id: string;
  rule: string;
  severity: Severity;
  message: string;
  user_id?: string | null;
  username?: string | null;
  ip_address?: string | null;
  timestamp: string;
}
export type Registration = "open" | "closed";
export interface Job {
  name: string;
  last_run?: string | null;
  outcome?: string | null;
  removed?: number | null;
}

export class Identity {
  readonly #client: Client;
  constructor(client: Client) {
    this.#client = client;
  }

  me = () => this.#client.call<Profile>("/auth/me");
  changeMe = (body: ProfilePatch) => this.#client.call<Profile>("/auth/me", { method: "PATCH", body });
  changePassword = (body: { current_password: string; new_password: string }) =>
    this.#client.call<Done>("/auth/password", { method: "POST", body });

  devices = () => this.#client.call<Page<Device>>("/auth/devices");
  endDevice = (id: string) => this.#client.call<Done>(`/auth/devices/${id}`, { method: "DELETE" });

  enrol = (body: { password: string }) =>
    this.#client.call<{ secret: string; otpauth_url: string }>("/auth/mfa/enrol", { method: "POST", body });
  confirmFactor = (body: { otp: string }) =>
    this.#client.call<{ recovery_codes: string[] }>("/auth/mfa/confirm", { method: "POST", body });
  disableFactor = (body: Proof) => this.#client.call<Done>("/auth/mfa/disable", { method: "POST", body });

  exportData = (body: Proof) => this.#client.download("/auth/export", { method: "POST", body });
  eraseMe = (body: Proof) => this.#client.call<Done>("/auth/erase", { method: "POST", body });

  users = (query: { cursor?: string; limit?: number }) => this.#client.call<Page<User>>("/users", { query });
  createUser = (body: { username: string; email: string; role: Role }) =>
    this.#client.call<CreatedUser>("/users", { method: "POST", body });
  changeUser = (id: string, body: { role?: Role; status?: User["status"]; display_name?: string }) =>
    this.#client.call<User>(`/users/${id}`, { method: "PATCH", body });
  resetPassword = (id: string) =>
    this.#client.call<CreatedUser>(`/users/${id}/password-reset`, { method: "POST", body: {} });
  unlock = (id: string) => this.#client.call<Done>(`/users/${id}/unlock`, { method: "POST", body: {} });
  eraseUser = (id: string) => this.#client.call<unknown>(`/users/${id}`, { method: "DELETE" });

  audit = (query: AuditQuery) => this.#client.call<Page<AuditRow>>("/audit", { query: { ...query } });
  verifyAudit = () => this.#client.call<ChainCheck>("/audit/verify");
  blocked = (query: { cursor?: string }) =>
    this.#client.call<Page<BlockedAddress>>("/security/blocked-ips", { query });
  lift = (ip: string) =>
    this.#client.call<Done>(`/security/blocked-ips/${encodeURIComponent(ip)}`, { method: "DELETE" });
  alerts = (query: { cursor?: string }) => this.#client.call<Page<Alert>>("/security/alerts", { query });
  configuration = () => this.#client.call<{ registration: Registration }>("/system/configuration");
  configure = (body: { registration: Registration }) =>
    this.#client.call<{ registration: Registration }>("/system/configuration", { method: "PATCH", body });
  jobs = () => this.#client.call<{ jobs?: Job[] }>("/system/status");

  people = (session: string) =>
    this.#client.call<{ participants: Person[]; participant_count: number }>(`/sessions/${session}/state`);
  share = (session: string, user: string, relation: "participant" | "viewer") =>
    this.#client.call<Person>(`/sessions/${session}/participants/${encodeURIComponent(user)}`, {
      method: "PUT",
      body: { relation },
    });
  unshare = (session: string, user: string) =>
    this.#client.call<undefined>(`/sessions/${session}/participants/${encodeURIComponent(user)}`, {
      method: "DELETE",
    });
}

/** What sign-in and refresh answer. */
export interface SignInAnswer extends Omit<Schemas["TokenAnswer"], "user"> {
  user: SignedInUser;
  /** Seconds: with fewer left the tokens are renewed in the background. */
  renew_before?: number;
  /** The role demands a second factor that is not set up: only the own account's pages work. */
  must_enrol?: boolean;
}
