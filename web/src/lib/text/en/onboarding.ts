import { catalogue } from "../catalogue";

/** One sentence per tab for who sees it for the first time. */
export const hintText = catalogue({
  label: "How to read this tab",
  dismiss: "Got it",
  more: "More in the user guide",
  tabs: {
    conversation:
      "Each message says who speaks to whom. “Why” opens what the agent saw; press i to give the conversation something to think about.",
    health:
      "Each gauge shows its value, the band that chance alone would give, and where it becomes worth a look. The question mark explains the measure.",
    visualizations:
      "The network shows who speaks to whom, and the matrix beside it the same in numbers. Press on a chart to look at that turn; “Table” below a chart, or t while it has the focus, shows its numbers.",
    analysis:
      "Numbers with their intervals, computed from the log. Every turning point and every intervention leads to its turn.",
    settings: "What you save here applies from the next turn, and is itself an event of the log.",
  },
});
