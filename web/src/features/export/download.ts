import type { ExportQuery } from "$lib/api/types";
import { save } from "$lib/save";
import { api } from "$lib/state/app";
import { count } from "$lib/state/format";
import { exportText as t } from "$lib/text/en/export";

/** Fetches the file and hands it over; `onprogress` hears in words how far it is. */
export async function download(
  id: string,
  query: ExportQuery,
  onprogress: (words: string) => void,
): Promise<{ name: string; events: number }> {
  // A report is made as a whole before its first byte comes.
  onprogress(t.making);
  const { blob, name, headers } = await api.exportSession(id, query, (bytes) =>
    onprogress(t.received({ kb: count(Math.ceil(bytes / 1000)) })),
  );
  const file = name ?? `${id}.${query.format}`;
  save(blob, file);
  return { name: file, events: Number(headers.get("X-Export-Events") ?? 0) };
}
