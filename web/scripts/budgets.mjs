// Asserts what a first visit and the Visualizations tab cost, compressed. Run after `npm run build`.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const assets = readdirSync(join(dist, "assets")).filter((name) => /\.(js|css|woff2)$/u.test(name));
const kb = (name) => {
  const bytes = readFileSync(join(dist, name));
  // Fonts are compressed already.
  return (name.endsWith(".woff2") ? bytes.length : gzipSync(bytes, { level: 9 }).length) / 1000;
};
const html = readFileSync(join(dist, "index.html"), "utf8");
const first = [...html.matchAll(/(?:src|href)="\.\/([^"]+\.(?:js|css))"/gu)].map(([, name]) => name);
const sum = (names) => names.reduce((total, name) => total + kb(name), 0);
const named = (pattern) => assets.filter((name) => pattern.test(name)).map((name) => `assets/${name}`);

const budgets = [
  ["initial JS", sum(first.filter((name) => name.endsWith(".js"))), 95],
  ["initial CSS", sum(first.filter((name) => name.endsWith(".css"))), 15],
  ["fonts", sum(named(/\.woff2$/u)), 60],
  ["Visualizations chunk", sum(named(/^visualizations-.*\.js$/u)), 180],
  // Loaded only when a figure of Analysis is drawn.
  ["Plotly", sum(named(/^plotly-.*\.js$/u)), 500],
];
let over = 0;
for (const [name, size, limit] of budgets) {
  const verdict = size > 0 && size <= limit ? "ok" : "OVER";
  if (verdict !== "ok") over += 1;
  console.log(`${verdict.padEnd(5)} ${name.padEnd(22)} ${size.toFixed(1).padStart(6)} kB of ${limit} kB`);
}
process.exitCode = over === 0 ? 0 : 1;
