import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";
import { guide } from "./scripts/guide.ts";

const COMPRESSIBLE = /\.(js|css|html|svg|json|map)$/;

/** Puts `.br` and `.gz` beside every text file, so that the server never compresses at run time. */
function precompress(): Plugin {
  let outDir = "dist";
  return {
    name: "precompress",
    apply: "build",
    configResolved(config) {
      outDir = config.build.outDir;
    },
    closeBundle() {
      for (const entry of readdirSync(outDir, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !COMPRESSIBLE.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const bytes = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
        writeFileSync(
          `${path}.br`,
          brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
        );
      }
    },
  };
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
export const alias = { $lib: here("src/lib"), $ui: here("src/ui"), $features: here("src/features") };

const backend = process.env.PSYCHE_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "./",
  plugins: [guide(), svelte(), precompress()],
  resolve: { alias },
  build: {
    target: "es2023",
    // Fonts and images stay files: a data: font is refused by the content policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // The user guide stands beside this folder.
    fs: { allow: [".."] },
    proxy: {
      "/api": backend,
      "/ws": { target: backend, ws: true },
    },
  },
});
