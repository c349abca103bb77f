import { catalogue } from "../catalogue";

export const interviewText = catalogue({
  title: "Ask {name}",
  hint: "Answered outside the conversation, from what the agent knows now. The session and its other agents hear nothing of it, and nothing of it is in the log.",
  question: "Question",
  ask: "Ask",
  asking: "Asking…",
  thinking: "{name} is thinking.",
  failed: "{name} did not answer",
  reasoning: "Its reasoning",
  saw: "What it saw: after event {seq}, {model}, {latency}",
  open: "Ask {name} something, outside the conversation",
  openShort: "Ask…",
});
