import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { NAMES, RIGHTS, roleChange, ROLES } from "./roles";

describe("a change of role", () => {
  it("to the same role changes nothing", () => {
    for (const role of ROLES)
      expect(roleChange(role, role)).toEqual({ gained: [], lost: [], gainedNames: [], lostNames: [] });
  });

  it("upwards takes nothing, downwards gives nothing", () => {
    expect(roleChange("observer", "admin").lost).toEqual([]);
    expect(roleChange("observer", "admin").lostNames).toEqual([]);
    expect(roleChange("admin", "researcher").gained).toEqual([]);
    expect(roleChange("admin", "researcher").gainedNames).toEqual([]);
  });

  it("there and back are each other's mirror", () => {
    for (const from of ROLES)
      for (const to of ROLES) {
        const [there, back] = [roleChange(from, to), roleChange(to, from)];
        expect(there.gained).toEqual(back.lost.map(({ title, words }) => ({ title, words })));
        expect(there.gainedNames).toEqual(back.lostNames);
      }
  });

  it("names what an administrator made a researcher loses", () => {
    const { lost, lostNames } = roleChange("admin", "researcher");
    expect(lost.map((each) => each.title)).toContain(
      "Users, roles, blocked addresses, alerts, audit, settings",
    );
    expect(lost.find((each) => each.title.startsWith("Read"))?.words).toMatch(/^all/);
    expect(lost.find((each) => each.title.startsWith("Read"))?.still).toMatch(/^their own/);
    expect(lost.find((each) => each.title.startsWith("Users"))?.still).toBeNull();
    expect(lostNames).toEqual(["system:admin", "system:config", "system:monitor"]);
  });
});

it("says what the server's table says, and leaves no row of it out", () => {
  const table = readFileSync(
    resolve(import.meta.dirname, "../../../../crates/psyche-core/src/permissions.txt"),
    "utf8",
  );
  const cells = new Map(
    table
      .split("\n")
      .filter((line) => /^[a-z]/u.test(line))
      .map((line) => line.split(/\s+/u))
      .map(([row = "", , observer, researcher, admin]) => [row, { observer, researcher, admin }]),
  );
  expect(cells.size).toBeGreaterThan(15);
  for (const right of RIGHTS) for (const row of right.rows) expect(right.cells, row).toEqual(cells.get(row));
  const told = RIGHTS.flatMap((right) => right.rows);
  // Everybody has the first; the second only says that a list shows what each may read.
  expect([...cells.keys()].filter((row) => !told.includes(row))).toEqual(["public", "session_list"]);
});

it("each role has all names of the one below", () => {
  for (const name of NAMES.observer) expect(NAMES.researcher).toContain(name);
  for (const name of NAMES.researcher) expect(NAMES.admin).toContain(name);
});
