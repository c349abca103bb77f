import { catalogue } from "../catalogue";

/** What each role may do, and how far. */
export const rolesText = catalogue({
  rights: {
    own: "Their own profile, devices, export and erasure",
    view: "See casts and models",
    read: "Read and follow sessions",
    annotate: "Annotate sessions",
    create: "Make sessions",
    fork: "Fork sessions",
    control: "Start, pause and stop sessions, inject stimuli",
    controlObserved: "The same where others may only watch",
    configure: "Configure, share and delete sessions",
    export: "Export sessions",
    casts: "Make and edit casts, test models",
    monitor: "Watch the system's health",
    administer: "Users, roles, blocked addresses, alerts, audit, settings",
  },
  no: "no",
  yes: "yes",
  all: "all; on record where it is not theirs",
  own: "their own",
  ownAndPart: "their own, and as a participant",
  part: "as a participant",
  ownAndShared: "their own, and what is shared with them",
  shared: "what is shared with them",
});
