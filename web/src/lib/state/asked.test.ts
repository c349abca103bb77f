import { expect, it } from "vitest";
import { ApiError } from "$lib/api/errors";
import { Asked, Pages } from "./asked.svelte";

/** Promises that are settled by hand, in any order. */
function deferred<T>() {
  const settle: { resolve: (value: T) => void; reject: (cause: unknown) => void }[] = [];
  const ask = () => new Promise<T>((resolve, reject) => settle.push({ resolve, reject }));
  return { ask, settle };
}

it("takes the answer to the newest question only", async () => {
  const { ask, settle } = deferred<string>();
  const asked = new Asked(ask);
  const both = [asked.load(), asked.load()];
  settle[1]?.resolve("new");
  settle[0]?.resolve("old");
  await Promise.all(both);
  expect(asked.value).toBe("new");
});

it("keeps the old answer beside the failure, and drops the failure with the next answer", async () => {
  const answers = [
    () => Promise.resolve(1),
    () => Promise.reject(new ApiError(503, "unavailable", "away")),
    () => Promise.resolve(2),
  ];
  const asked = new Asked(() => answers.shift()?.() ?? Promise.resolve(0));
  await asked.load();
  await asked.load();
  expect([asked.value, asked.error?.status]).toEqual([1, 503]);
  await asked.load();
  expect([asked.value, asked.error]).toEqual([2, null]);
});

it("reads a list page by page, each once", async () => {
  const seen: (string | undefined)[] = [];
  const pages = new Pages((cursor) => {
    seen.push(cursor);
    const items = cursor === undefined ? [1, 2] : [3];
    return Promise.resolve({ items, next_cursor: cursor === undefined ? "c" : null });
  });
  await pages.load();
  await Promise.all([pages.more(), pages.more()]);
  await pages.more();
  expect(pages.value).toEqual([1, 2, 3]);
  expect(seen).toEqual([undefined, "c"]);
});

it("a page that comes after the list was loaded anew is dropped", async () => {
  const { ask, settle } = deferred<{ items: number[]; next_cursor: string | null }>();
  const pages = new Pages(ask);
  const first = pages.load();
  settle[0]?.resolve({ items: [1], next_cursor: "c" });
  await first;
  const more = pages.more();
  const again = pages.load();
  settle[2]?.resolve({ items: [9], next_cursor: null });
  await again;
  settle[1]?.resolve({ items: [2], next_cursor: "d" });
  await more;
  expect([pages.value, pages.cursor]).toEqual([[9], null]);
});
