import { catalogue } from "../catalogue";

/** The design system's own words. */
export const uiText = catalogue({
  name: "psyche",
  notShown: "{what} could not be shown",
  copy: "Copy",
  copied: "Copied",
  copyByHand: "Could not copy: select it and copy by hand",
  copyCsv: "Copy as CSV",
  notCopied: "Could not copy",
  close: "Close",
  escape: "Esc",
  keys: "Keys",
  request: "request {id}",
  retry: "Retry",
  again: "It can be tried again at {time}.",
  notYours: "Not for your role",
  asOf: "{what}: as of {time}",
  notLoaded: "{what} could not be loaded",
  loading: "Loading",
  password: "Password",
  passwordRule: "12 characters or more. A sentence works well; no other rules.",
  commands: "Commands",
  findCommand: "Find a command",
  typeCommand: "Type to find a command",
  noCommand: "No command has this name.",
});
