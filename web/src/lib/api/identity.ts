/** Calls about people: one's own account, and what administrators do. Loaded with the pages that need them. */
import type { Client } from "./client";
import type { components } from "./generated";
import type { Page } from "./types";

type Schemas = components["schemas"];

export type Role = Schemas["Role"];
export type User = Schemas["User"];
export type Device = Schemas["Device"];
export type CreatedUser = Schemas["CreatedUser"];
export type Person = Schemas["Participant"];
export type Profile = Schemas["Profile"];
export type Registration = Schemas["Registration"];
export type Budget = Schemas["Budget"];
export type Spent = Schemas["Spent"];
export type Provider = Schemas["ProviderView"];
export type Severity = Schemas["Severity"];
export type AuditRow = Schemas["Audit"];
export type ChainCheck = Schemas["AuditCheck"];
export type BlockedAddress = Schemas["BlockedAddress"];
export type Alert = Schemas["Alert"];
type Done = Schemas["Done"];

/** What a dangerous call asks for again: the password, and the second factor of those who have one. */
export type Proof = Schemas["Proof"];
export type ProfilePatch = Schemas["ProfilePatch"];
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

export class Identity {
  readonly #client: Client;
  constructor(client: Client) {
    this.#client = client;
  }

  me = () => this.#client.call<Profile>("/auth/me");
  changeMe = (body: ProfilePatch) => this.#client.call<Profile>("/auth/me", { method: "PATCH", body });
  changePassword = (body: Schemas["PasswordChange"]) =>
    this.#client.call<Done>("/auth/password", { method: "POST", body });

  devices = () => this.#client.call<Page<Device>>("/auth/devices");
  endDevice = (id: string) => this.#client.call<Done>(`/auth/devices/${id}`, { method: "DELETE" });

  enrol = (body: { password: string }) =>
    this.#client.call<Schemas["Enrolment"]>("/auth/mfa/enrol", { method: "POST", body });
  confirmFactor = (body: { otp: string }) =>
    this.#client.call<Schemas["RecoveryCodes"]>("/auth/mfa/confirm", { method: "POST", body });
  disableFactor = (body: Proof) => this.#client.call<Done>("/auth/mfa/disable", { method: "POST", body });

  exportData = (body: Proof) => this.#client.download("/auth/export", { method: "POST", body });
  eraseMe = (body: Proof) => this.#client.call<Done>("/auth/erase", { method: "POST", body });

  users = (query: { q?: string; cursor?: string; limit?: number }) =>
    this.#client.call<Page<User>>("/users", { query });
  createUser = (body: Schemas["UserDraft"]) =>
    this.#client.call<CreatedUser>("/users", { method: "POST", body });
  changeUser = (id: string, body: Schemas["UserChange"]) =>
    this.#client.call<User>(`/users/${id}`, { method: "PATCH", body });
  resetPassword = (id: string) =>
    this.#client.call<CreatedUser>(`/users/${id}/password-reset`, { method: "POST", body: {} });
  unlock = (id: string) => this.#client.call<Done>(`/users/${id}/unlock`, { method: "POST", body: {} });
  eraseUser = (id: string) => this.#client.call<Done>(`/users/${id}`, { method: "DELETE" });

  audit = (query: AuditQuery) => this.#client.call<Page<AuditRow>>("/audit", { query: { ...query } });
  verifyAudit = () => this.#client.call<ChainCheck>("/audit/verify");
  blocked = (query: { cursor?: string }) =>
    this.#client.call<Page<BlockedAddress>>("/security/blocked-ips", { query });
  lift = (ip: string) =>
    this.#client.call<Done>(`/security/blocked-ips/${encodeURIComponent(ip)}`, { method: "DELETE" });
  alerts = (query: { cursor?: string }) => this.#client.call<Page<Alert>>("/security/alerts", { query });
  configuration = () => this.#client.call<Schemas["Configuration"]>("/system/configuration");
  configure = (body: Schemas["ConfigurationPatch"]) =>
    this.#client.call<Schemas["Configuration"]>("/system/configuration", { method: "PATCH", body });
  providers = () => this.#client.call<Page<Provider>>("/providers");
  putProvider = (id: string, body: Schemas["ProviderDraft"]) =>
    this.#client.call<Provider>(`/providers/${encodeURIComponent(id)}`, { method: "PUT", body });
  removeProvider = (id: string) =>
    this.#client.call<undefined>(`/providers/${encodeURIComponent(id)}`, { method: "DELETE" });

  people = (session: string, query: { cursor?: string; limit?: number }) =>
    this.#client.call<Page<Person>>(`/sessions/${session}/participants`, { query });
  invite = (session: string, username: string, relation: Schemas["Share"]) =>
    this.#client.call<Person>(`/sessions/${session}/participants`, {
      method: "POST",
      body: { username, relation },
    });
  share = (session: string, user: string, relation: Schemas["Share"]) =>
    this.#client.call<Person>(`/sessions/${session}/participants/${encodeURIComponent(user)}`, {
      method: "PUT",
      body: { relation },
    });
  /** Which administrators were let in without belonging to the session, newest first. */
  accesses = (session: string) => this.#client.call<Page<AuditRow>>(`/sessions/${session}/accesses`);
  unshare = (session: string, user: string) =>
    this.#client.call<undefined>(`/sessions/${session}/participants/${encodeURIComponent(user)}`, {
      method: "DELETE",
    });
}
