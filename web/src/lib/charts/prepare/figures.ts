/** Figures of the analysis as Plotly takes them: pure functions of the document and of the colours in use. */
import type { Analysis, History, Intervention, TrendLine, TurningPoint } from "$lib/api/analysis";
import type { Agent } from "$lib/api/types";
import { agentColour } from "../colours";

export interface Look {
  dark: boolean;
  text: string;
  muted: string;
  line: string;
  track: string;
  edge: string;
  surface: string;
  font: string;
}

export interface Figure {
  data: object[];
  layout: Record<string, unknown>;
}

/** Where the words of people and models stand in a trace. */
const WORDS = new Set(["x", "y", "text"]);
const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

/** Plotly makes bold letters, styles and links of tags in what it is given; names are words and nothing else. */
export function inPlainWords(data: readonly object[]): object[] {
  const plain = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(plain)
      : typeof value === "string"
        ? value.replace(/[&<>]/gu, (sign) => ENTITIES[sign] ?? sign)
        : value;
  return data.map((trace) =>
    Object.fromEntries(
      Object.entries(trace).map(([key, value]: [string, unknown]) => [
        key,
        WORDS.has(key) ? plain(value) : value,
      ]),
    ),
  );
}

/** The interval as Plotly's error bars, around the value. */
export function around(value: number | null, interval: readonly number[] | null | undefined) {
  const [low, high] = interval ?? [];
  if (value === null || low === undefined || high === undefined) return { plus: null, minus: null };
  return { plus: Math.max(0, high - value), minus: Math.max(0, value - low) };
}

function errorBars(bars: readonly ReturnType<typeof around>[], look: Look): object {
  return {
    type: "data",
    symmetric: false,
    array: bars.map((bar) => bar.plus),
    arrayminus: bars.map((bar) => bar.minus),
    color: look.text,
    thickness: 1.25,
  };
}

export function layoutOf(look: Look, height: number, more: Record<string, unknown>): object {
  const axis = {
    color: look.muted,
    gridcolor: look.line,
    zerolinecolor: look.muted,
    linecolor: look.line,
    automargin: true,
    fixedrange: true,
    zeroline: false,
  };
  const { xaxis, yaxis, ...rest } = more;
  return {
    height,
    autosize: true,
    paper_bgcolor: look.surface,
    plot_bgcolor: look.surface,
    font: { family: look.font, size: 12, color: look.text },
    margin: { l: 8, r: 12, t: 8, b: 8 },
    showlegend: false,
    dragmode: false,
    hoverlabel: {
      bgcolor: look.surface,
      bordercolor: look.muted,
      font: { family: look.font, color: look.text },
    },
    xaxis: { ...axis, ...(xaxis as object | undefined) },
    yaxis: { ...axis, ...(yaxis as object | undefined) },
    ...rest,
  };
}

/** A measure over the turns, with the levels between its turning points and what was done to it. */
export function course(
  trend: TrendLine,
  points: readonly TurningPoint[],
  interventions: readonly Intervention[],
  turnOf: (seq: number) => number,
  look: Look,
): Figure {
  const x = trend.points.map(([seq = 0]) => turnOf(seq));
  const y = trend.points.map(([, value = 0]) => value);
  const own = points.filter((point) => point.measure === trend.measure).sort((a, b) => a.turn - b.turn);
  const line = { color: look.text, width: 1.5 };
  const vertical = (turn: number, dash: string, color: string) => ({
    type: "line",
    x0: turn,
    x1: turn,
    yref: "paper",
    y0: 0,
    y1: 1,
    line: { color, width: 1, dash },
  });
  const levels = own.map((point) => ({
    type: "line",
    x0: point.turn,
    x1: own.find((other) => other.turn > point.turn)?.turn ?? x.at(-1) ?? point.turn,
    y0: point.after,
    y1: point.after,
    line: { color: look.muted, width: 3 },
  }));
  return {
    data: [
      { type: "scatter", mode: x.length < 60 ? "lines+markers" : "lines", x, y, line, marker: { size: 5 } },
    ],
    layout: {
      xaxis: { title: { text: "turn" } },
      yaxis: { title: { text: trend.unit } },
      shapes: [
        ...own.map((point) => vertical(point.turn, "solid", look.text)),
        ...interventions.map((each) => vertical(each.turn, "dot", look.muted)),
        ...levels,
      ],
    },
  };
}

/** Effects with their intervals, and behind each the band of what happens anyway. */
export function effects(
  interventions: readonly Intervention[],
  name: (each: Intervention) => string,
  look: Look,
): Figure {
  const shown = interventions.filter((each) => each.effect !== null && each.effect !== undefined);
  const y = shown.map(name);
  const bars = shown.map((each) => around(each.effect ?? null, each.interval));
  const nulls = shown.flatMap((each, at) => {
    const [low, high] = each.effects.find((effect) => effect.measure === "novelty")?.null ?? [];
    if (low === undefined || high === undefined) return [];
    return [
      {
        type: "rect",
        x0: low,
        x1: high,
        y0: at - 0.32,
        y1: at + 0.32,
        fillcolor: look.track,
        line: { width: 0 },
        layer: "below",
      },
    ];
  });
  return {
    data: [
      {
        type: "scatter",
        mode: "markers",
        x: shown.map((each) => each.effect),
        y,
        marker: { color: look.text, size: 8 },
        error_x: errorBars(bars, look),
      },
    ],
    layout: { yaxis: { autorange: "reversed", type: "category" }, xaxis: { zeroline: true }, shapes: nulls },
  };
}

/** Bars in each agent's colour, with an interval. */
export function shareBars(
  shares: Analysis["shares"]["speakers"],
  agents: readonly Agent[],
  people: string,
  look: Look,
): Figure {
  const bars = shares.map((each) => around(each.share, each.interval));
  const known = (id: string) => agents.find((agent) => agent.id === id);
  return {
    data: [
      {
        type: "bar",
        orientation: "h",
        y: shares.map((each) => known(each.agent_id)?.name ?? people),
        x: shares.map((each) => each.share),
        marker: {
          color: shares.map((each) => {
            const agent = known(each.agent_id);
            return agent === undefined ? look.muted : agentColour(agent, look.dark, look.text);
          }),
          opacity: 0.6,
        },
        error_x: errorBars(bars, look),
        hovertemplate: "%{y}: %{x:.1%}<extra></extra>",
      },
    ],
    layout: {
      yaxis: { autorange: "reversed" },
      xaxis: { tickformat: ".0%", rangemode: "tozero" },
      bargap: 0.35,
    },
  };
}

/** Square of values from 0 to 1, the diagonal left out. */
export function overlapMap(matrix: Analysis["matrix"], name: (id: string) => string, look: Look): Figure {
  const names = matrix.speakers.map(name);
  const z = matrix.overlap.map((row, at) => row.map((value, column) => (at === column ? null : value)));
  return {
    data: [
      {
        type: "heatmap",
        x: names,
        y: names,
        z,
        zmin: 0,
        // Beyond what can be, so that words stay readable on the strongest cell.
        zmax: 1.2,
        xgap: 3,
        ygap: 3,
        colorscale: [
          [0, look.surface],
          [1, look.edge],
        ],
        textfont: { color: look.text },
        texttemplate: "%{z:.2f}",
        hovertemplate: "%{y}, %{x}: %{z:.3f}<extra></extra>",
        showscale: false,
      },
    ],
    layout: { yaxis: { autorange: "reversed", showgrid: false }, xaxis: { showgrid: false } },
  };
}

/** Parts from 0 to 1 as dots with intervals. */
export function dots(
  parts: readonly {
    name: string;
    value?: number | null | undefined;
    interval?: readonly number[] | null | undefined;
  }[],
  range: [number, number] | null,
  look: Look,
): Figure {
  const shown = parts.filter((part) => part.value !== null && part.value !== undefined);
  const bars = shown.map((part) => around(part.value ?? null, part.interval));
  return {
    data: [
      {
        type: "scatter",
        mode: "markers",
        x: shown.map((part) => part.value),
        y: shown.map((part) => part.name),
        marker: { color: look.text, size: 8 },
        error_x: errorBars(bars, look),
      },
    ],
    layout: {
      yaxis: { autorange: "reversed", type: "category" },
      xaxis: { zeroline: true, ...(range === null ? {} : { range }) },
    },
  };
}

/** One measure over runs: every run a dot beside the box of all. */
export function overRuns(history: History, measure: string, look: Look): Figure {
  const runs = history.runs.filter((run) => run.values[measure] !== undefined);
  return {
    data: [
      {
        type: "box",
        y: runs.map((run) => run.values[measure]),
        text: runs.map((run) => run.name),
        boxpoints: "all",
        jitter: 0.4,
        pointpos: -1.6,
        line: { color: look.text, width: 1.25 },
        fillcolor: look.track,
        marker: { color: look.text, size: 5 },
        hovertemplate: "%{text}: %{y:.3f}<extra></extra>",
        name: "",
      },
      {
        type: "scatter",
        mode: "lines+markers",
        x: runs.map((_, at) => at + 1),
        y: runs.map((run) => run.values[measure]),
        text: runs.map((run) => run.name),
        xaxis: "x2",
        line: { color: look.muted, width: 1 },
        marker: { color: look.text, size: 5 },
        hovertemplate: "%{text}: %{y:.3f}<extra></extra>",
      },
    ],
    layout: {
      xaxis: { domain: [0, 0.22], showticklabels: false },
      xaxis2: {
        domain: [0.28, 1],
        color: look.muted,
        gridcolor: look.line,
        fixedrange: true,
        automargin: true,
        title: { text: "run" },
      },
    },
  };
}
