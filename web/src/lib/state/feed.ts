/** What the conversation shows: messages, and quiet or loud dividers between them. */
import type {
  AgentMessage,
  EmergencyEvent,
  Forked,
  InterventionSuggested,
  StimulusInjected,
  StoredEvent,
  TurnFailed,
} from "$lib/api/types";
import { changesOf } from "./fold";
import { capital } from "./format";

export type FeedItem = { seq: number; at: string } & (
  | { kind: "message"; event: AgentMessage }
  | { kind: "stimulus"; event: StimulusInjected }
  | { kind: "intervention"; event: InterventionSuggested }
  | { kind: "failure"; event: TurnFailed }
  | { kind: "emergency"; event: EmergencyEvent }
  | { kind: "forked"; event: Forked }
  | { kind: "opening"; situation: string }
  | { kind: "note"; text: string; detail?: string; actor?: string | undefined }
);

/** `ran` says whether the session has been running before: then it goes on, else it starts. */
export function feedItem(event: StoredEvent, ran: boolean): FeedItem | null {
  const place = { seq: event.seq, at: event.timestamp };
  switch (event.type) {
    case "session_created":
      return { ...place, kind: "opening", situation: event.situation };
    case "agent_message":
      return { ...place, kind: "message", event };
    case "stimulus_injected":
      return { ...place, kind: "stimulus", event };
    case "intervention_suggested":
      return { ...place, kind: "intervention", event };
    case "turn_failed":
      return { ...place, kind: "failure", event };
    case "emergency":
      return { ...place, kind: "emergency", event };
    case "session_status":
      return {
        ...place,
        kind: "note",
        text: statusSentence(event.status, event.reason, ran),
        actor: event.actor,
      };
    case "situation_changed":
      return { ...place, kind: "note", text: "The situation changed", detail: event.situation };
    case "reset":
      return { ...place, kind: "note", text: "Reset: agents, paths and gauges are as at the beginning" };
    case "settings_changed":
      return {
        ...place,
        kind: "note",
        text: `Settings changed: ${Object.keys(changesOf(event)).join(", ") || "session"}`,
      };
    case "agent_changed":
      return {
        ...place,
        kind: "note",
        text: `${capital(event.agent_id)}: ${Object.keys(changesOf(event)).join(", ") || "settings"} changed`,
      };
    case "paths_changed":
      return { ...place, kind: "note", text: "The paths changed" };
    case "annotation":
      return { ...place, kind: "note", text: `Note on event ${event.target_seq}`, detail: event.text };
    case "forked":
      return { ...place, kind: "forked", event };
    default:
      return null;
  }
}

/** What a fork does differently, in words. */
export function forkChanges(event: Forked): string {
  const { agents, ...others } = changesOf(event);
  const edited = Object.keys(typeof agents === "object" && agents !== null ? agents : {}).map(capital);
  const names = [...Object.keys(others).filter((key) => key !== "name"), ...edited];
  return names.length === 0 ? "" : `another ${names.join(", ")}`;
}

const REASONS: Record<string, string> = {
  max_rounds: "all rounds are done",
  stopped: "stopped by hand",
  budget_exceeded: "the budget is spent",
  model_unavailable: "the model is not available",
  storage: "the log could not be written",
  expired: "nobody was here for too long",
  error: "an error",
};

export function reasonInWords(reason: string): string {
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}

function statusSentence(status: string, reason: string | null | undefined, ran: boolean): string {
  // Being stopped by hand is what "stopped" says already.
  const because = reason && reason !== status ? `: ${reasonInWords(reason)}` : "";
  const word = { created: "Ready to start", running: ran ? "Resumed" : "Started" }[status];
  return `${word ?? capital(status)}${because}`;
}
