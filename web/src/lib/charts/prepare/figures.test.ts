import { describe, expect, it } from "vitest";
import type { Analysis, History, Intervention, TrendLine, TurningPoint } from "$lib/api/analysis";
import type { Agent } from "$lib/api/types";
import { CONFIG, svgOf } from "../plotly";
import {
  around,
  course,
  dots,
  effects,
  inPlainWords,
  layoutOf,
  overlapMap,
  overRuns,
  shareBars,
  type Look,
} from "./figures";

const look: Look = {
  dark: true,
  text: "text",
  muted: "muted",
  line: "line",
  track: "track",
  edge: "edge",
  surface: "surface",
  font: "font",
};
const trend = {
  measure: "novelty",
  unit: "nats",
  points: [
    [3, 0.1],
    [7, 0.2],
    [11, 0.9],
  ],
} as TrendLine;
const intervention = (seq: number, effect: number | null, nulls: number[] | null = null) =>
  ({
    seq,
    turn: seq,
    kind: "stimulus",
    effect,
    interval: effect === null ? null : [effect - 0.5, effect + 1],
    effects: [{ measure: "novelty", null: nulls }],
  }) as Intervention;

describe("Plotly's settings", () => {
  it("send nothing anywhere", () => {
    expect(CONFIG.showSendToCloud).toBe(false);
    expect(CONFIG.showEditInChartStudio).toBe(false);
    expect(CONFIG.plotlyServerURL).toBe("");
  });

  it("give a picture as text", () => {
    expect(svgOf("data:image/svg+xml,%3Csvg%20a%3D%22%25%22%2F%3E")).toBe('<svg a="%"/>');
  });
});

describe("an interval as error bars", () => {
  it.each([
    [0.5, [0.25, 1], { plus: 0.5, minus: 0.25 }],
    [0.5, null, { plus: null, minus: null }],
    [null, [0, 1], { plus: null, minus: null }],
    // A bias-corrected interval may lie beside its value: no bar points backwards.
    [2, [0.5, 1.5], { plus: 0, minus: 1.5 }],
  ])("%s in %s", (value, interval, expected) => {
    expect(around(value, interval)).toEqual(expected);
  });
});

describe("the course of a measure", () => {
  const point = (turn: number, measure = "novelty") =>
    ({ turn, measure, seq: turn, before: 0, after: turn / 10 }) as TurningPoint;
  const figure = course(
    trend,
    [point(5), point(2), point(4, "words")],
    [intervention(6, 1)],
    (seq) => seq - 1,
    look,
  );

  it("stands over turns", () => {
    expect(figure.data).toEqual([expect.objectContaining({ x: [2, 6, 10], y: [0.1, 0.2, 0.9] })]);
  });

  it("marks its own turning points and every intervention, and draws each level to the next", () => {
    const shapes = figure.layout.shapes as { x0: number; x1: number; y1: number; line: { dash?: string } }[];
    expect(shapes.filter(({ line }) => line.dash === "solid").map(({ x0 }) => x0)).toEqual([2, 5]);
    expect(shapes.filter(({ line }) => line.dash === "dot").map(({ x0 }) => x0)).toEqual([6]);
    const levels = shapes.filter(({ line }) => line.dash === undefined);
    expect(levels.map(({ x0, x1, y1 }) => [x0, x1, y1])).toEqual([
      [2, 5, 0.2],
      [5, 10, 0.5],
    ]);
  });
});

it("effects leave out what could not be measured, and show behind each what happens anyway", () => {
  const figure = effects(
    [intervention(1, 1, [-1, 1]), intervention(2, null), intervention(3, -2)],
    (each) => String(each.seq),
    look,
  );
  expect(figure.data).toEqual([expect.objectContaining({ x: [1, -2], y: ["1", "3"] })]);
  expect(figure.layout.shapes).toEqual([expect.objectContaining({ x0: -1, x1: 1, y0: -0.32, y1: 0.32 })]);
});

it("shares have each agent's colour, and people none of their own", () => {
  const agents = [
    { id: "a", name: "Ann", colour: { dark: "dark-a", light: "light-a" } },
  ] as unknown as Agent[];
  const speakers = [
    { agent_id: "a", utterances: 3, share: 0.75, interval: [0.5, 0.9], words: 9 },
    { agent_id: "user", utterances: 1, share: 0.25, words: 2 },
  ];
  expect(shareBars(speakers, agents, "People", look).data).toEqual([
    expect.objectContaining({
      y: ["Ann", "People"],
      x: [0.75, 0.25],
      marker: { color: ["dark-a", "muted"], opacity: 0.6 },
    }),
  ]);
});

it("overlap leaves out the diagonal", () => {
  const matrix = {
    speakers: ["a", "b"],
    overlap: [
      [1, 0.3],
      [0.3, 1],
    ],
  } as Analysis["matrix"];
  expect(overlapMap(matrix, (id) => id, look).data).toEqual([
    expect.objectContaining({
      z: [
        [null, 0.3],
        [0.3, null],
      ],
    }),
  ]);
});

it("dots leave out what has no value", () => {
  const figure = dots(
    [
      { name: "a", value: 0 },
      { name: "b", value: null },
    ],
    [0, 1],
    look,
  );
  expect(figure.data).toEqual([expect.objectContaining({ x: [0], y: ["a"] })]);
});

it("runs without the measure are no point", () => {
  const history = {
    runs: [
      { name: "one", values: { x: 1 } },
      { name: "two", values: {} },
      { name: "three", values: { x: 3 } },
    ],
  } as unknown as History;
  const [box, line] = overRuns(history, "x", look).data;
  expect(box).toMatchObject({ y: [1, 3], text: ["one", "three"] });
  expect(line).toMatchObject({ x: [1, 2], y: [1, 3] });
});

it("a layout is in the colours of the surface, and nothing in it can be dragged", () => {
  const layout = layoutOf(look, 200, { xaxis: { title: { text: "turn" } } });
  expect(layout).toMatchObject({
    paper_bgcolor: "surface",
    dragmode: false,
    xaxis: { fixedrange: true, title: { text: "turn" } },
  });
});

it("gives Plotly names as words, whatever they are made of", () => {
  const traces = inPlainWords([
    {
      type: "bar",
      y: ['<a href="//evil.test">Ego</a>', 3, null],
      text: ["a & b"],
      hovertemplate: "%{y}<extra>",
    },
  ]);
  expect(traces).toEqual([
    {
      type: "bar",
      y: ['&lt;a href="//evil.test"&gt;Ego&lt;/a&gt;', 3, null],
      text: ["a &amp; b"],
      hovertemplate: "%{y}<extra>",
    },
  ]);
});
