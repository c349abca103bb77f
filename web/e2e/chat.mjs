// A stand-in for a server of the chat-completions format, which says what the test wants said, in the pieces it wants.
import { createServer } from "node:http";

/** `next()` gives the pieces of the next reply. */
export async function startChat(next) {
  const server = createServer((request, response) => {
    if (!request.url.endsWith("/chat/completions")) {
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ object: "list", data: [{ id: "payloads", object: "model" }] }));
      return;
    }
    request.resume().on("end", () => {
      const pieces = next();
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      const say = (value) => response.write(`data: ${JSON.stringify(value)}\n\n`);
      for (const content of pieces) say({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
      say({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
      response.end("data: [DONE]\n\n");
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
