// Starts the real program with the scripted model, an empty data directory and a free port, and stops it by its pid.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const SETUP_CODE = "e2e-setup-code-0123456789";
const BINARY = process.env.PSYCHE_BIN ?? fileURLToPath(new URL("../../target/debug/psyche", import.meta.url));
const READY_MS = 20_000;

/** Both are added to psyche.toml: top-level settings first, then tables. */
export async function startPsyche({ settings = "", tables = "" } = {}) {
  const dir = await mkdtemp(join(tmpdir(), "psyche-e2e-"));
  const port = await freePort();
  const config = join(dir, "psyche.toml");
  await writeFile(
    config,
    `listen = "127.0.0.1:${port}"
metrics_addr = "127.0.0.1:0"
data_dir = ${JSON.stringify(join(dir, "data"))}
setup_code = "${SETUP_CODE}"
rate_limit_requests_per_minute = 6000
rate_limit_burst_size = 1000
rate_limit_user_requests_per_minute = 60000
rate_limit_sign_ins_per_minute = 600
rate_limit_upgrades_per_minute = 6000
rate_limit_exports_per_hour = 600
${settings}
${tables.includes("[models.default]") ? "" : `[models.default]\nprovider = "scripted"`}
# Nobody answers on port 9.
[models.unreachable]
provider = "openai"
base_url = "http://127.0.0.1:9/v1"
allow_http_hosts = ["127.0.0.1"]
model = "nobody"
${tables}
`,
  );
  const world = { dir, config, url: `http://127.0.0.1:${port}/`, log: "", child: null };
  await launch(world);
  return world;
}

/** Starts the program on the world's data; also after `kill`, as a restart. */
export async function launch(world) {
  const child = spawn(BINARY, ["--config", world.config, "serve"], { stdio: ["ignore", "pipe", "pipe"] });
  world.child = child;
  const listen = (chunk) => (world.log += chunk);
  child.stdout.on("data", listen);
  child.stderr.on("data", listen);
  const ended = new Promise((_, reject) =>
    child.once("exit", (code, signal) =>
      reject(new Error(`psyche ended (${code ?? signal}):\n${world.log}`)),
    ),
  );
  ended.catch(() => undefined);
  await Promise.race([ready(world.url), ended]);
}

export async function kill(world, signal = "SIGKILL") {
  const { child } = world;
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await gone;
}

export async function stopPsyche(world) {
  await kill(world, "SIGTERM");
  await rm(world.dir, { recursive: true, force: true });
}

async function ready(url) {
  const end = Date.now() + READY_MS;
  while (Date.now() < end) {
    const answer = await fetch(`${url}ready`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`psyche was not ready within ${READY_MS} ms`);
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
