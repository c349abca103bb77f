/** What a model made of a sample of utterances, as rows of tables. */
import type { Judgement } from "$lib/api/analysis";
import type { AgentMessage } from "$lib/api/types";
import { analysisText as t } from "$lib/text/en/analysis";

/** How often each rating was given, from the lowest to the highest; `rules` where the rules rate the same. */
export function tally({ range, ratings }: Pick<Judgement, "range" | "ratings">) {
  const [low = 0, high = 0] = range;
  return Array.from({ length: high - low + 1 }, (_, at) => {
    const rating = low + at;
    const given = (by: "judge" | "rules") => ratings.filter((each) => each[by] === rating).length;
    return { rating, judge: given("judge"), rules: given("rules") };
  });
}

/** Each rated utterance beside its words; without them where its message is not loaded. */
export function rated(ratings: Judgement["ratings"], messages: readonly AgentMessage[]) {
  const bySeq = new Map(messages.map((message) => [message.seq, message]));
  return ratings.map((rating) => ({ ...rating, message: bySeq.get(rating.seq) }));
}

/** A place on the scale as a person reads it: the ends and the middle have words. */
export function ratingName(question: Judgement["question"], rating: number | null | undefined): string {
  if (rating === null || rating === undefined) return "–";
  const sign = question === "integrative_complexity" ? "" : rating > 0 ? "+" : rating < 0 ? "−" : "";
  const ends: Readonly<Record<string, string>> = t.judgeEnds[question];
  const word = ends[`at${rating}`.replace("-", "_")];
  const number = `${sign}${Math.abs(rating)}`;
  return word === undefined ? number : t.judgeEnd({ number, word });
}
