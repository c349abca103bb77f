import { describe, expect, expectTypeOf, it } from "vitest";
import { catalogue, type Shape } from "./catalogue";

const english = catalogue({
  title: "Agents",
  since: "Open since round {round}",
  heard: "{n|# message|# messages} from {who}",
  both: "{n} of {n|one|many}",
  deep: { inner: "Inside" },
});

describe("a catalogue", () => {
  it("fills parameters", () => {
    expect(english.title).toBe("Agents");
    expect(english.deep.inner).toBe("Inside");
    expect(english.since({ round: 4 })).toBe("Open since round 4");
    expect(english.since({ round: "four" })).toBe("Open since round four");
  });

  it("chooses the plural", () => {
    expect(english.heard({ n: 1, who: "Ego" })).toBe("1 message from Ego");
    expect(english.heard({ n: 0, who: "Ego" })).toBe("0 messages from Ego");
    expect(english.heard({ n: 12_345, who: "Ego" })).toBe("12,345 messages from Ego");
    expect(english.both({ n: 1 })).toBe("1 of one");
  });

  it("knows the categories of other languages, in their order", () => {
    const polish = catalogue({ n: "{n|# plik|# pliki|# plików|# pliku}" }, "pl");
    expect([1, 3, 5, 1.5].map((n) => polish.n({ n }))).toEqual([
      "1 plik",
      "3 pliki",
      "5 plików",
      "1,5 pliku",
    ]);
  });

  it("puts a parameter in as it is: braces and # in it mean nothing", () => {
    expect(english.since({ round: "{n|#|#}" })).toBe("Open since round {n|#|#}");
    expect(english.heard({ n: 2, who: "#1" })).toBe("2 messages from #1");
  });

  it("has its keys, parameters and plurals checked by the compiler", () => {
    expectTypeOf(english.title).toEqualTypeOf<string>();
    expectTypeOf(english.since).toBeCallableWith({ round: 4 });
    // @ts-expect-error there is no such text
    void english.nothing;
    // @ts-expect-error a parameter is missing
    void english.heard({ n: 1 });
    // @ts-expect-error what is counted is a number, wherever else it stands
    void english.both({ n: "1" });
    // @ts-expect-error it has no such parameter
    void english.since({ round: 1, other: 2 });
  });

  it("holds another language to the same shape", () => {
    const german: Shape<typeof english> = catalogue(
      {
        title: "Figuren",
        since: "Offen seit Runde {round}",
        heard: "{n|# Nachricht|# Nachrichten} von {who}",
        both: "{n} von {n|einer|vielen}",
        deep: { inner: "Innen" },
      },
      "de",
    );
    expect(german.heard({ n: 1, who: "Ego" })).toBe("1 Nachricht von Ego");
    // @ts-expect-error a text of the shape is missing
    const short: Shape<typeof english> = catalogue({ title: "Figuren" }, "de");
    void short;
  });
});
