/** What each role may do, in words, and what a change of role takes and gives. The server decides; this explains. */
import type { Role } from "$lib/api/identity";

export const ROLES = ["observer", "researcher", "admin"] as const satisfies readonly Role[];

/** How far a right reaches; a higher number includes the lower ones. */
const REACH = {
  none: { level: 0, words: "no" },
  invited: { level: 1, words: "as a participant" },
  shared: { level: 2, words: "what is shared with them" },
  own: { level: 2, words: "their own" },
  taking: { level: 2, words: "their own, and as a participant" },
  ownAndShared: { level: 3, words: "their own, and what is shared with them" },
  any: { level: 4, words: "all; on record where it is not theirs" },
  yes: { level: 4, words: "yes" },
} as const;
export type Reach = keyof typeof REACH;

export interface Right {
  title: string;
  reach: Record<Role, Reach>;
}
const right = (title: string, observer: Reach, researcher: Reach, admin: Reach): Right => ({
  title,
  reach: { observer, researcher, admin },
});

export const RIGHTS: readonly Right[] = [
  right("Their own profile, devices, export and erasure", "yes", "yes", "yes"),
  right("See casts and models", "yes", "yes", "yes"),
  right("Read and follow sessions", "shared", "ownAndShared", "any"),
  right("Annotate sessions", "invited", "taking", "any"),
  right("Make sessions", "none", "yes", "yes"),
  right("Start, pause and stop sessions, inject stimuli", "none", "taking", "any"),
  right("Configure, share and delete sessions", "none", "own", "any"),
  right("Export sessions", "none", "taking", "any"),
  right("Make casts and edit them, test models", "none", "yes", "yes"),
  right("Watch the system's health", "none", "none", "yes"),
  right("Users, roles, blocked addresses, alerts, audit, settings", "none", "none", "yes"),
];

export function reachWords(reach: Reach): string {
  return REACH[reach].words;
}
export function reaches(reach: Reach): boolean {
  return REACH[reach].level > 0;
}

export interface RoleChange {
  gained: { title: string; words: string }[];
  lost: { title: string; words: string }[];
  /** As the API lists them under `permissions`. */
  gainedNames: string[];
  lostNames: string[];
}

/** What somebody may do afterwards that they may not now, and the other way round. */
export function roleChange(from: Role, to: Role): RoleChange {
  const list = (now: Role, later: Role) =>
    RIGHTS.filter((each) => REACH[each.reach[later]].level > REACH[each.reach[now]].level).map((each) => ({
      title: each.title,
      words: REACH[each.reach[later]].words,
    }));
  const without = (all: readonly string[], some: readonly string[]) =>
    all.filter((name) => !some.includes(name));
  return {
    gained: list(from, to),
    // What is lost is told as it was.
    lost: list(to, from),
    gainedNames: without(NAMES[to], NAMES[from]),
    lostNames: without(NAMES[from], NAMES[to]),
  };
}

const OBSERVER = ["agent:view", "session:view"];
const RESEARCHER = [
  ...OBSERVER,
  "agent:create",
  "agent:modify",
  "agent:delete",
  "session:create",
  "session:manage",
  "data:export",
  "data:import",
  "data:delete",
];
export const NAMES: Record<Role, readonly string[]> = {
  observer: OBSERVER,
  researcher: RESEARCHER,
  admin: [...RESEARCHER, "system:admin", "system:config", "system:monitor"],
};
