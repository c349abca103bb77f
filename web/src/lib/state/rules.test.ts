import { expect, it } from "vitest";
import type { Session, SignedInUser } from "$lib/api/types";
import { mayShare, onlyWatches, whyNot } from "./rules";

const user = (role: string, ...permissions: string[]) => ({ role, permissions }) as unknown as SignedInUser;
const session = (relation: string) => ({ relation }) as unknown as Session;

it.each([
  [user("observer"), session("owner"), "Your role may only watch."],
  [user("researcher", "session:manage"), session("viewer"), "You are here as a viewer."],
  [user("researcher", "session:manage"), session("none"), "You are here as a viewer."],
  [user("researcher", "session:manage"), session("participant"), undefined],
  [user("researcher", "session:manage"), session("owner"), undefined],
  [user("admin", "session:manage"), session("none"), undefined],
  [null, session("owner"), "Your role may only watch."],
])("who only watches is told why (%o, %o)", (who, where, why) => {
  expect(onlyWatches(who, where)).toBe(why);
  expect(whyNot("pause", "running", who, where)).toBe(why);
});

it.each([
  [user("observer"), session("owner"), false],
  [user("researcher", "session:manage"), session("owner"), true],
  [user("researcher", "session:manage"), session("participant"), false],
  [user("researcher", "session:manage"), session("viewer"), false],
  [user("admin", "session:manage"), session("none"), true],
  [user("admin", "session:manage"), null, false],
  [null, session("owner"), false],
])("who may share (%o, %o): %s", (who, where, may) => {
  expect(mayShare(who, where)).toBe(may);
});

it("explains a command that does not fit the state", () => {
  const [who, where] = [user("admin", "session:manage"), session("owner")];
  expect(whyNot("pause", "paused", who, where)).toBe("Not possible while the session is paused.");
  expect(whyNot("resume", "paused", who, where)).toBeUndefined();
  expect(whyNot("start", null, who, where)).toBe("The session is not open yet.");
});
