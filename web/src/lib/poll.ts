/** Asks at once and then now and then, while the page is seen. Returns what ends it. */
export function poll(ask: () => Promise<void>, everyMs: number): () => void {
  const round = () => {
    if (!document.hidden) void ask();
  };
  round();
  const timer = setInterval(round, everyMs);
  return () => clearInterval(timer);
}
