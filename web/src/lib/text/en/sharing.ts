import { catalogue } from "../catalogue";

/** Who is in a session, and who lets whom in. */
export const sharingText = catalogue({
  nobodyIn: "Nobody was let in",
  noSuchName: "Nobody has this name. It must be given in full.",
  unmoved: "{name} stays as before",
  stillIn: "{name} is still in",
  erased: "somebody whose account was erased",
  share: "Share this session",
  people: "People in this session",
  thePeople: "The people",
  you: ", you",
  relations: {
    owner: "owner",
    participant: "participant",
    viewer: "viewer",
    none: "none",
  },
  mayDo: "What {name} may do",
  takeOut: "Take {name} out",
  noMore: "No more could be loaded",
  more: "Show more",
  alone: "Nobody else is in this session yet.",
  letSomebodyIn: "Let somebody in",
  username: "User name",
  usernameHint: "In full. They find it under Account, Profile, and give it to you.",
  as: "As",
  namesFailed: "The names to choose from could not be loaded: {why} A name in full works.",
  letIn: "Let in",
  rights:
    "Viewers read and follow. Participants also annotate, and researchers among them start, pause and inject. A change holds at once, for open pages too.",
  rightsObserved:
    "Viewers read and follow. Participants also annotate, and researchers among them start, pause and inject; in this session, made for observers, that is left to the owner. A change holds at once, for open pages too.",
  lookedInCount: "Administrators who looked in ({n})",
  lookedIn: "Administrators who looked in",
  theList: "The list",
  nobodyLooked: "None without belonging to the session.",
  anAdministrator: "an administrator",
  notYours: "The owner or an administrator lets people in and out.",
});
