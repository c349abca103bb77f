import { catalogue } from "../catalogue";

export const uiText = catalogue({
  notShown: "{what} could not be shown",
});
