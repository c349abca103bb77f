// Opens an exported report as a person would, from a file: it must not complain, and must ask for nothing.
// Usage: node report.mjs REPORT.html
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { launchBrowser } from "./browser.mjs";

const address = pathToFileURL(resolve(process.argv[2])).href;
const browser = await launchBrowser();
try {
  const page = await browser.newPage();
  const complaints = [];
  page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (request.url() !== address) complaints.push(`asks for ${request.url()}`);
  });
  await page.goto(address, { waitUntil: "load", timeout: 60_000 });
  const shown = await page.evaluate(() => ({
    figures: document.querySelectorAll("figure svg").length,
    utterances: document.querySelectorAll("article").length,
    scripts: document.scripts.length,
    title: document.title,
    // The style is taken only where its hash is the one the policy names.
    styled: getComputedStyle(document.querySelector("figcaption")).fontWeight === "600",
  }));
  if (shown.scripts > 0 || shown.title === "x") complaints.push("a script is in it");
  if (shown.figures === 0 || shown.utterances === 0) complaints.push("figures or words are missing");
  if (!shown.styled) complaints.push("its own style was refused");
  console.log(`${shown.figures} figures, ${shown.utterances} utterances`);
  for (const complaint of complaints) console.error(complaint);
  process.exitCode = complaints.length > 0 ? 1 : 0;
} finally {
  await browser.close();
}
