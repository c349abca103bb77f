/**
 * What each role may do, in words, and what a change of role takes and gives. The server decides; this explains.
 * The cells are those of the server's own table, and a test holds them against it.
 */
import type { Role } from "$lib/api/identity";
import { rolesText as t } from "$lib/text/en/roles";

export const ROLES = ["observer", "researcher", "admin"] as const satisfies readonly Role[];

/**
 * `yes`, `-`, or the relations to a session that suffice: Owner, Participant, Viewer, None; behind `!` it is on
 * record and the owner sees it.
 */
export type Cell = "yes" | "-" | "O" | "OP" | "OPV" | "OPV!N" | "OP!VN" | "O!PVN" | "!OPVN";

export interface Right {
  title: string;
  /** Rows of the server's table; they read alike. */
  rows: readonly string[];
  cells: Record<Role, Cell>;
}
const right = (title: string, rows: string[], observer: Cell, researcher: Cell, admin: Cell): Right => ({
  title,
  rows,
  cells: { observer, researcher, admin },
});

export const RIGHTS: readonly Right[] = [
  right(t.rights.own, ["own_account"], "yes", "yes", "yes"),
  right(t.rights.view, ["cast_view", "model_view"], "yes", "yes", "yes"),
  right(t.rights.read, ["session_read"], "OPV", "OPV", "OPV!N"),
  right(t.rights.annotate, ["session_annotate"], "OP", "OP", "OP!VN"),
  right(t.rights.create, ["session_create"], "-", "yes", "yes"),
  right(t.rights.fork, ["session_fork"], "-", "OPV", "OPV!N"),
  right(t.rights.control, ["session_control"], "-", "OP", "OP!VN"),
  right(t.rights.controlObserved, ["session_control_observed"], "-", "O", "!OPVN"),
  right(t.rights.configure, ["session_configure", "session_share", "session_delete"], "-", "O", "O!PVN"),
  right(t.rights.export, ["session_export"], "-", "OP", "OPV!N"),
  right(t.rights.casts, ["cast_edit", "model_test"], "-", "yes", "yes"),
  right(t.rights.monitor, ["system_monitor"], "-", "-", "yes"),
  right(
    t.rights.administer,
    ["user_admin", "security_admin", "audit_read", "system_config"],
    "-",
    "-",
    "yes",
  ),
];

/** How far a right reaches for somebody with this role. */
export function reachWords(cell: Cell, role: Role): string {
  if (cell === "-") return t.no;
  if (cell === "yes") return t.yes;
  if (cell.includes("N")) return t.all;
  // Observers make no sessions: what they have is what they were let in to.
  const owns = role !== "observer";
  if (cell === "O") return t.own;
  if (cell === "OP") return owns ? t.ownAndPart : t.part;
  return owns ? t.ownAndShared : t.shared;
}

/** The ways to a right, as letters that can be compared. */
function ways(cell: Cell): string[] {
  return cell === "yes" ? ["yes"] : (cell.match(/[OPVN]/gu) ?? []);
}

export function reaches(cell: Cell): boolean {
  return ways(cell).length > 0;
}

export interface RoleChange {
  gained: { title: string; words: string }[];
  /** `still` is what remains of it, where something does. */
  lost: { title: string; words: string; still: string | null }[];
  /** As the API lists them under `permissions`. */
  gainedNames: string[];
  lostNames: string[];
}

/** What somebody may do afterwards that they may not now, and the other way round. */
export function roleChange(from: Role, to: Role): RoleChange {
  const more = (now: Role, later: Role) =>
    RIGHTS.filter(({ cells }) => ways(cells[later]).some((way) => !ways(cells[now]).includes(way))).map(
      ({ title, cells }) => ({ title, words: reachWords(cells[later], later) }),
    );
  const without = (all: readonly string[], some: readonly string[]) =>
    all.filter((name) => !some.includes(name));
  return {
    gained: more(from, to),
    // What is lost is told as it was, and what is left of it.
    lost: more(to, from).map((each) => {
      const left = RIGHTS.find(({ title }) => title === each.title)?.cells[to] ?? "-";
      return { ...each, still: reaches(left) ? reachWords(left, to) : null };
    }),
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
