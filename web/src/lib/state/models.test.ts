import { expect, it } from "vitest";
import { modelLabel } from "./models";

it.each([
  [{ id: "study", name: "llama3.1", status: "ready" }, "study: llama3.1"],
  [{ id: "llama3.1", name: "llama3.1", status: "ready" }, "llama3.1"],
  [{ id: "study", name: "", status: "ready" }, "study"],
  [{ id: "embedded", name: "SmolLM2", status: "unavailable" }, "embedded: SmolLM2 (not ready)"],
] as const)("%o is listed as %s", (model, label) => {
  expect(modelLabel(model)).toBe(label);
});
