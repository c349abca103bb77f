import type { Tab } from "$lib/state/router.svelte";

/** The page of the user guide that tells more about a tab. */
export const MORE: Record<Tab, string> = {
  conversation: "guide/forks",
  health: "measures",
  visualizations: "guide/measures/strength",
  analysis: "guide/analysis",
  settings: "guide/exports",
};
