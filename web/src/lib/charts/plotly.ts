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
 * Plotly writes its styles into a style element, which the content policy refuses: with this element in the page it
 * leaves them to `plotly.css`.
 */
function ownStyles(): void {
  if (document.getElementById(STYLES) !== null) return;
  const mark = document.createElement("meta");
  mark.id = STYLES;
  mark.className = "no-inline-styles";
  document.head.append(mark);
}
const STYLES = "plotly.js-style-global";

let library: Promise<typeof PlotlyType> | null = null;

export function loadPlotly(): Promise<typeof PlotlyType> {
  ownStyles();
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
