import { catalogue } from "../catalogue";

/** The six gauges, wherever they are named. */
export const gaugeText = catalogue({
  titles: {
    conflict: "Conflict",
    engagement: "Engagement",
    diversity: "Diversity",
    repetition: "Repetition",
    emotional_intensity: "Intensity",
    stagnation: "Stagnation",
  },
  meanings: {
    conflict: "Speakers turn against each other.",
    engagement: "Speakers take up what they answer.",
    diversity: "How long the talk goes on before words recur.",
    repetition: "How much was already said word for word.",
    emotional_intensity: "How strong the feeling is, whatever its sign.",
    stagnation: "The talk returns to what was said.",
  },
  levels: { low: "low", moderate: "moderate", high: "high" },
});
