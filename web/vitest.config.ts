import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { guide } from "./scripts/guide.ts";
import { alias } from "./vite.config.ts";

export default defineConfig({
  plugins: [guide(), svelte()],
  resolve: { alias, conditions: ["browser"] },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.ts"],
  },
});
