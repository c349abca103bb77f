import { catalogue } from "../catalogue";

export const guideText = catalogue({
  guide: "User guide",
  back: "Back to the session",
  missing: "There is no such page",
  missingNote: "The guide has the pages listed beside this.",
  loading: "Loading the page",
  failed: "This page could not be loaded",
  help: "What is {what}? Opens the user guide",
});
