/** Plotly, fetched when the first figure is drawn. */
import type { default as PlotlyType } from "plotly.js-cartesian-dist-min";
import "./plotly.css";

/**
 * Nothing leaves the page: Plotly's own cloud is off. Its buttons are ours (`FigureFrame`), and what it would let a
 * person drag would not be what the log says.
 */
export const CONFIG = {
  showSendToCloud: false,
  showEditInChartStudio: false,
  plotlyServerURL: "",
  displayModeBar: false,
  displaylogo: false,
  responsive: true,
  scrollZoom: false,
  doubleClick: "reset",
} as const;

/**
 * Plotly writes style elements, its own and that of the map library inside it, which the content policy refuses. It
 * leaves out those whose name is taken: what is needed of them is in `plotly.css`. The second name changes with the
 * package's version; the browser tests count what the policy refuses.
 */
const STYLES = [
  "plotly.js-style-global",
  "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53",
] as const;

function takeStyleNames(): void {
  for (const id of STYLES) {
    if (document.getElementById(id) !== null) continue;
    const mark = document.createElement("meta");
    mark.id = id;
    mark.className = "no-inline-styles";
    document.head.append(mark);
  }
}

let library: Promise<typeof PlotlyType> | null = null;

export function loadPlotly(): Promise<typeof PlotlyType> {
  takeStyleNames();
  library ??= import("plotly.js-cartesian-dist-min").then(
    (chunk) => chunk.default,
    (cause: unknown) => {
      library = null;
      throw cause;
    },
  );
  return library;
}

/** The picture as SVG text, from the address Plotly gives. */
export function svgOf(address: string): string {
  return decodeURIComponent(address.replace(/^data:image\/svg\+xml,/u, ""));
}
