import { catalogue } from "../catalogue";

/** The bars at the top of every page. */
export const frameText = catalogue({
  page: "{title} · psyche",
  skip: "Skip to the content",
  home: "psyche: all sessions",
  keys: "Keys (?)",
  showKeys: "Show the keys",
  palette: "Find a command",
});
