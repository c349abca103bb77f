/** Which command is allowed when, and why not, in words for a tooltip. The server decides; this only explains. */
import type { Session, SessionStatus, SignedInUser } from "$lib/api/types";

export type RunCommand =
  "start" | "pause" | "resume" | "step" | "stop" | "reset" | "inject_stimulus" | "speak" | "retry";

const ALLOWED: Record<RunCommand, readonly SessionStatus[]> = {
  start: ["created", "paused", "stopped"],
  pause: ["running"],
  resume: ["paused"],
  step: ["created", "paused", "stopped"],
  stop: ["running", "paused"],
  reset: ["created", "paused", "stopped", "failed"],
  inject_stimulus: ["created", "running", "paused", "stopped"],
  speak: ["created", "running", "paused", "stopped"],
  retry: ["created", "running", "paused", "stopped", "failed"],
};

/** Why somebody commands nothing here, whatever the session does. */
export function onlyWatches(user: SignedInUser | null, session: Session | null): string | undefined {
  if (user?.permissions.includes("session:manage") !== true) return "Your role may only watch.";
  const outsider = session?.relation === "viewer" || session?.relation === "none";
  return outsider && user.role !== "admin" ? "You are here as a viewer." : undefined;
}

/** Whether this person lets others into the session and out. */
export function mayShare(user: SignedInUser | null, session: Session | null): boolean {
  if (user === null || session === null) return false;
  if (user.role === "admin") return true;
  return user.permissions.includes("session:manage") && session.relation === "owner";
}

/** Whether this person writes notes: whoever takes part does, in every role. */
export function mayAnnotate(user: SignedInUser | null, session: Session | null): boolean {
  if (user === null || session === null) return false;
  return user.role === "admin" || session.relation === "owner" || session.relation === "participant";
}

export function whyNot(
  command: RunCommand,
  status: SessionStatus | null,
  user: SignedInUser | null,
  session: Session | null,
): string | undefined {
  if (status === null || session === null) return "The session is not open yet.";
  const watching = onlyWatches(user, session);
  if (watching !== undefined) return watching;
  if (!ALLOWED[command].includes(status)) return `Not possible while the session is ${status}.`;
  return undefined;
}
