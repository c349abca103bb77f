import { catalogue } from "../catalogue";

/** Around every figure: its table, its copies, its readings. */
export const figureText = catalogue({
  table: "Table",
  chart: "Chart",
  tableTitle: "The numbers of this figure as a table (key t)",
  chartTitle: "Back to the chart (key t)",
  copyCsv: "Copy as CSV",
  copySvg: "Copy as SVG",
  copied: "Copied",
  notCopied: "Could not copy",
  lastRows: "The last {shown} of {all} rows. “Copy as CSV” has them all.",
  reading: "turn {turn}: {values}",
  noValue: "no value",
  drawing: "Drawing the figure",
  notDrawn: "The figure could not be drawn",
});
