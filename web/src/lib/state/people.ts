/** Names for ids: agents, people, everyone. */
import type { Agent, Participant } from "$lib/api/types";

export const PERSON: Agent = {
  id: "user",
  name: "A person",
  colour: { dark: "currentColor", light: "currentColor" },
  shape: "person",
  system_prompt: "",
  temperature: 0,
  muted: false,
};

export function agentOf(agents: readonly Agent[], id: string): Agent {
  if (id === "user") return PERSON;
  return agents.find((agent) => agent.id === id) ?? { ...PERSON, id, name: id, shape: "circle" };
}

export function nameOf(agents: readonly Agent[], id: string): string {
  return id === "all" ? "everyone" : agentOf(agents, id).name;
}

/** Who did something: events name people by id, and the program itself as `system`. */
export function actorName(
  actor: string | null | undefined,
  me: { user_id: string } | null,
  here: readonly Participant[],
): string | null {
  if (!actor || actor === "system") return null;
  if (actor === me?.user_id) return "you";
  const known = here.find((person) => person.user_id === actor)?.username;
  return known ?? (/^[0-9a-f-]{36}$/u.test(actor) ? "someone" : actor);
}
