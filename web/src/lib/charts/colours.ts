/** Canvases cannot read `light-dark()`: these resolve a token or an agent's colour for the surface in use. */
import type { Agent } from "$lib/api/types";

/** A background is resolved as one: where the system forces its own colours, it forces others on backgrounds. */
export function token(name: string, near: Element, use: "color" | "background-color" = "color"): string {
  const probe = document.createElement("span");
  probe.style.setProperty(use, `var(${name})`);
  probe.hidden = true;
  near.append(probe);
  const colour = getComputedStyle(probe).getPropertyValue(use);
  probe.remove();
  return colour;
}

export function agentColour(agent: Agent, dark: boolean, fallback: string): string {
  const colour = dark ? agent.colour.dark : agent.colour.light;
  return colour === "currentColor" || colour === "" ? fallback : colour;
}

/** Each agent's dash doubles its colour; by shape, so that it holds for any cast. */
const DASHES: Record<string, number[]> = {
  circle: [],
  triangle: [6, 3],
  square: [2, 3],
  diamond: [10, 3, 2, 3],
  star: [1, 4],
  hexagon: [8, 2],
};

export function dashOf(shape: string): number[] {
  return DASHES[shape.replace(/^inverted[_-]/u, "")] ?? [];
}
