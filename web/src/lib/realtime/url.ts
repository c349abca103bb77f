/** Where a socket is, beside the page: also below a path prefix. */
export function socketUrl(name: string): string {
  const url = new URL(`ws/${encodeURIComponent(name)}`, location.href.split("#")[0]);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
