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
        expect(there.gained).toEqual(back.lost);
        expect(there.gainedNames).toEqual(back.lostNames);
      }
  });

  it("names what an administrator made a researcher loses", () => {
    const { lost, lostNames } = roleChange("admin", "researcher");
    expect(lost.map((each) => each.title)).toContain(
      "Users, roles, blocked addresses, alerts, audit, settings",
    );
    expect(lost.find((each) => each.title.startsWith("Read"))?.words).toMatch(/^all/);
    expect(lostNames).toEqual(["system:admin", "system:config", "system:monitor"]);
  });
});

it("every role may care for its own account, and each role has all names of the one below", () => {
  expect(Object.values(RIGHTS[0]?.reach ?? {})).toEqual(["yes", "yes", "yes"]);
  for (const name of NAMES.observer) expect(NAMES.researcher).toContain(name);
  for (const name of NAMES.researcher) expect(NAMES.admin).toContain(name);
});
