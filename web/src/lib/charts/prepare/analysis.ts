/** Counts and means over the loaded conversation. Descriptive only: no intervals, no tests. */
import { GAUGES, type GaugeName } from "$lib/api/types";
import { countUpTo, type GaugeColumns, type MessageColumns } from "$lib/state/columns";
import { wordCount } from "$lib/state/fold";

export interface Share {
  id: string;
  turns: number;
  words: number;
  /** Of all turns, and of all words, of the agents. */
  turnShare: number;
  wordShare: number;
}

export interface MeanSentiment {
  id: string;
  n: number;
  mean: number | null;
  /** Sample standard deviation; null under two scores. */
  sd: number | null;
}

export interface GaugeMean {
  name: GaugeName;
  n: number;
  mean: number | null;
  least: number | null;
  most: number | null;
}

export function shares(messages: MessageColumns, agentIds: readonly string[], until: number): Share[] {
  const turns = new Map<string, number>();
  const words = new Map<string, number>();
  for (const event of messages.event.slice(0, countUpTo(messages.seq, until))) {
    if (!agentIds.includes(event.agent_id)) continue;
    turns.set(event.agent_id, (turns.get(event.agent_id) ?? 0) + 1);
    words.set(event.agent_id, (words.get(event.agent_id) ?? 0) + wordCount(event.content));
  }
  const allTurns = sum(turns.values());
  const allWords = sum(words.values());
  return agentIds.map((id) => {
    const own = { turns: turns.get(id) ?? 0, words: words.get(id) ?? 0 };
    return {
      id,
      ...own,
      turnShare: allTurns === 0 ? 0 : own.turns / allTurns,
      wordShare: allWords === 0 ? 0 : own.words / allWords,
    };
  });
}

/** Messages from each agent (row) to each agent and to everyone (last column). */
export function talkMatrix(messages: MessageColumns, agentIds: readonly string[], until: number): number[][] {
  const columns = [...agentIds, "all"];
  const matrix = agentIds.map(() => columns.map(() => 0));
  for (const event of messages.event.slice(0, countUpTo(messages.seq, until))) {
    const row = matrix[agentIds.indexOf(event.agent_id)];
    const recipients =
      event.recipient === "all" || event.recipients.length === 0 ? [event.recipient] : event.recipients;
    for (const recipient of recipients) {
      const column = columns.indexOf(recipient);
      if (row && column >= 0) row[column] = (row[column] ?? 0) + 1;
    }
  }
  return matrix;
}

export function meanSentiment(
  messages: MessageColumns,
  agentIds: readonly string[],
  until: number,
): MeanSentiment[] {
  const scores = new Map<string, number[]>(agentIds.map((id) => [id, []]));
  for (const event of messages.event.slice(0, countUpTo(messages.seq, until))) {
    scores.get(event.agent_id)?.push(event.sentiment.score);
  }
  return agentIds.map((id) => {
    const own = scores.get(id) ?? [];
    const mean = own.length === 0 ? null : sum(own) / own.length;
    const sd =
      mean === null || own.length < 2
        ? null
        : Math.sqrt(sum(own.map((score) => (score - mean) ** 2)) / (own.length - 1));
    return { id, n: own.length, mean, sd };
  });
}

export function gaugeMeans(gauges: GaugeColumns, until: number): GaugeMean[] {
  const end = countUpTo(gauges.seq, until);
  return GAUGES.map((name) => {
    const values = gauges.standardised[name].slice(0, end).filter((value) => value !== null);
    if (values.length === 0) return { name, n: 0, mean: null, least: null, most: null };
    return {
      name,
      n: values.length,
      mean: sum(values) / values.length,
      least: Math.min(...values),
      most: Math.max(...values),
    };
  });
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
