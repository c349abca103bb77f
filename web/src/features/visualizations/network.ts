/** The communication network as a Cytoscape graph: built once, then changed in place, so that it never jumps. */
import cytoscape from "cytoscape";
import type { Agent, Connection } from "$lib/api/types";
import { agentColour } from "$lib/charts/colours";
import { Flow, type Curve } from "./flow";

export const LAYOUTS = ["pentagon", "circle", "breadthfirst", "cose", "fcose"] as const;
export type Layout = (typeof LAYOUTS)[number];

export interface Look {
  dark: boolean;
  text: string;
  surface: string;
  font: string;
}

export interface Filter {
  /** Only paths from or to this agent; empty for all. */
  agent: string;
  /** Only paths at least this strong. */
  least: number;
  /** Also paths that are closed now. */
  closed: boolean;
}

const RADIUS = 150;

export class NetworkGraph {
  readonly #cy: cytoscape.Core;
  readonly #flow: Flow;
  readonly #agents: readonly Agent[];
  #look: Look;

  constructor(
    container: HTMLElement,
    overlay: HTMLCanvasElement,
    agents: readonly Agent[],
    look: Look,
    onSelect: (id: string) => void,
  ) {
    this.#agents = agents;
    this.#look = look;
    this.#flow = new Flow(overlay);
    this.#cy = cytoscape({
      container,
      elements: agents.map((agent, index) => ({
        group: "nodes" as const,
        data: { id: agent.id, name: agent.name, shape: agent.shape, side: sideOf(index, agents.length) },
        position: corner(index, agents.length),
      })),
      layout: { name: "preset" },
      minZoom: 0.3,
      maxZoom: 3,
      // The wheel scrolls the page; with Ctrl it zooms (see `wheelZooms`).
      userZoomingEnabled: false,
      boxSelectionEnabled: false,
      autounselectify: true,
    });
    this.#cy.on("tap", "node", (event) => onSelect((event.target as cytoscape.NodeSingular).id()));
    this.#cy.on("tap", (event) => {
      if (event.target === this.#cy) onSelect("");
    });
    this.restyle(look);
    this.fit();
  }

  wheelZooms(on: boolean): void {
    this.#cy.userZoomingEnabled(on);
  }

  restyle(look: Look): void {
    this.#look = look;
    this.#cy.style(styleOf(this.#agents, look));
  }

  update(connections: readonly Connection[], filter: Filter): void {
    this.#cy.batch(() => {
      const wanted = new Set<string>();
      for (const path of connections) {
        if (!shown(path, filter)) continue;
        if (this.#cy.$id(path.from).empty() || this.#cy.$id(path.to).empty()) continue;
        const id = `${path.from}→${path.to}`;
        wanted.add(id);
        const data = { strength: path.strength, kind: path.kind, state: path.active ? "open" : "closed" };
        const edge = this.#cy.$id(id);
        if (edge.empty())
          this.#cy.add({ group: "edges", data: { id, source: path.from, target: path.to, ...data } });
        else edge.data(data);
      }
      for (const edge of this.#cy.edges().toArray()) if (!wanted.has(edge.id())) edge.remove();
      for (const node of this.#cy.nodes().toArray()) {
        const near =
          filter.agent === "" ||
          node.id() === filter.agent ||
          node.neighborhood(`#${cssId(filter.agent)}`).nonempty();
        node.data("near", near ? "yes" : "no");
      }
    });
  }

  /** Rejects when the layout's code cannot be loaded; then nothing has moved. */
  async arrange(layout: Layout): Promise<void> {
    if (layout === "fcose") await loadFcose();
    if (this.#cy.destroyed()) return;
    if (layout === "pentagon") {
      this.#agents.forEach((agent, index) =>
        this.#cy.$id(agent.id).position(corner(index, this.#agents.length)),
      );
    } else {
      const options = { name: layout, animate: false, padding: 40, randomize: false };
      this.#cy.layout(options).run();
    }
    this.fit();
  }

  /** Lets a message travel from one agent to another, along the path that is shown. */
  send(from: string, to: string): void {
    const agent = this.#agents.find((each) => each.id === from);
    if (agent === undefined) return;
    const colour = agentColour(agent, this.#look.dark, this.#look.text);
    this.#flow.send(() => this.#curve(`${from}→${to}`), colour);
  }

  still(): void {
    this.#flow.clear();
  }

  /** Read anew at each frame: the person may pan and zoom meanwhile. */
  #curve(id: string): Curve | null {
    const edge = this.#cy.$id(id);
    if (edge.empty()) return null;
    const start = edge.sourceEndpoint();
    const end = edge.targetEndpoint();
    const middle = edge.midpoint();
    const bend = { x: 2 * middle.x - (start.x + end.x) / 2, y: 2 * middle.y - (start.y + end.y) / 2 };
    const zoom = this.#cy.zoom();
    const pan = this.#cy.pan();
    const onScreen = ({ x, y }: cytoscape.Position) => ({ x: x * zoom + pan.x, y: y * zoom + pan.y });
    return [onScreen(start), onScreen(bend), onScreen(end)];
  }

  zoom(by: number): void {
    const { width, height } = this.size();
    const renderedPosition = { x: width / 2, y: height / 2 };
    this.#cy.zoom({ level: this.#cy.zoom() * by, renderedPosition });
  }

  fit(): void {
    this.#cy.fit(undefined, 36);
  }

  resize(): void {
    this.#cy.resize();
    this.fit();
  }

  size(): { width: number; height: number } {
    return { width: this.#cy.width(), height: this.#cy.height() };
  }

  async picture(background: string): Promise<Blob> {
    return this.#cy.png({ output: "blob-promise", full: true, scale: 2, bg: background });
  }

  destroy(): void {
    this.#flow.clear();
    this.#cy.destroy();
  }
}

let fcose: Promise<void> | null = null;

/** Its code is fetched when somebody asks for the layout, and once. */
function loadFcose(): Promise<void> {
  fcose ??= import("cytoscape-fcose").then(
    ({ default: extension }) => cytoscape.use(extension),
    (cause: unknown) => {
      fcose = null;
      throw cause;
    },
  );
  return fcose;
}

export function shown(path: Connection, filter: Filter): boolean {
  if (!path.active && !filter.closed) return false;
  if (path.strength < filter.least) return false;
  return filter.agent === "" || path.from === filter.agent || path.to === filter.agent;
}

/** Corners of a regular figure, the first at the top. */
export function corner(index: number, of: number): { x: number; y: number } {
  const angle = (index / of) * 2 * Math.PI - Math.PI / 2;
  return { x: RADIUS * Math.cos(angle), y: RADIUS * Math.sin(angle) };
}

/** Labels stand outside of the figure, where no path runs. */
function sideOf(index: number, of: number): "top" | "bottom" {
  return corner(index, of).y < 0 ? "top" : "bottom";
}

function cssId(id: string): string {
  return id.replace(/[^\w-]/gu, "\\$&");
}

const SHAPES: Record<string, Record<string, unknown>> = {
  circle: { shape: "ellipse" },
  triangle: { shape: "polygon", "shape-polygon-points": [-1, -0.8, 1, -0.8, 0, 0.95] },
  square: { shape: "rectangle", width: 36, height: 36 },
  diamond: { shape: "diamond" },
  star: { shape: "star", width: 46, height: 46 },
  hexagon: { shape: "hexagon" },
};

function styleOf(agents: readonly Agent[], look: Look): cytoscape.StylesheetJson {
  const rules: unknown[] = [
    {
      selector: "node",
      style: {
        width: 42,
        height: 42,
        label: "data(name)",
        color: look.text,
        "font-family": look.font,
        "font-size": 13,
        "text-valign": "bottom",
        "text-margin-y": 7,
        "text-background-color": look.surface,
        "text-background-opacity": 0.85,
        "text-background-padding": 2,
        "overlay-opacity": 0,
      },
    },
    { selector: "node[side = 'top']", style: { "text-valign": "top", "text-margin-y": -7 } },
    { selector: "node[near = 'no']", style: { opacity: 0.25 } },
    {
      selector: "edge",
      style: {
        "curve-style": "bezier",
        "control-point-step-size": 34,
        width: "mapData(strength, 0, 1, 1.2, 8)",
        "target-arrow-shape": "triangle",
        "arrow-scale": 0.9,
        opacity: "mapData(strength, 0, 1, 0.5, 0.95)",
        "overlay-opacity": 0,
      },
    },
    { selector: "edge[state = 'closed']", style: { opacity: 0.16 } },
  ];
  for (const agent of agents) {
    const colour = agentColour(agent, look.dark, look.text);
    const shape = SHAPES[agent.shape.replace(/^inverted[_-]/u, "")] ?? SHAPES.circle;
    rules.push({ selector: `node#${cssId(agent.id)}`, style: { "background-color": colour, ...shape } });
    rules.push({
      selector: `edge[source = '${agent.id.replace(/'/gu, "")}']`,
      style: { "line-color": colour, "target-arrow-color": colour },
    });
  }
  rules.push({
    selector: "edge[kind = 'emergency']",
    style: { "line-style": "dashed", "line-dash-pattern": [7, 5] },
  });
  return rules as cytoscape.StylesheetJson;
}
