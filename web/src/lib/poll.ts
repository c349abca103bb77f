/** Asks now and then while the page is seen; the newest answer or failure is handed over. */
export function poll<T>(
  ask: () => Promise<T>,
  everyMs: number,
  take: (answer: T) => void,
  fail: (cause: unknown) => void,
): () => void {
  let over = false;
  const round = () => {
    if (document.hidden) return;
    ask().then(
      (answer) => {
        if (!over) take(answer);
      },
      (cause: unknown) => {
        if (!over) fail(cause);
      },
    );
  };
  round();
  const timer = setInterval(round, everyMs);
  return () => {
    over = true;
    clearInterval(timer);
  };
}
