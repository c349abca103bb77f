/** Messages as dots that travel along their path: an overlay that draws only while something moves. */
export interface Point {
  x: number;
  y: number;
}

/** A path on the screen: from its start over a bend to its end. */
export type Curve = readonly [Point, Point, Point];

interface Dot {
  curve: () => Curve | null;
  colour: string;
  startedAt: number;
}

const TRAVEL_MS = 700;
/** More at once say nothing more, and a burst must not cost the page its frames. */
const MOST = 24;

export class Flow {
  readonly #canvas: HTMLCanvasElement;
  #dots: Dot[] = [];
  #frame = 0;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  send(curve: () => Curve | null, colour: string): void {
    if (this.#dots.length >= MOST) return;
    this.#dots.push({ curve, colour, startedAt: performance.now() });
    if (this.#frame === 0) this.#frame = requestAnimationFrame(this.#draw);
  }

  clear(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#dots = [];
    this.#canvas.getContext("2d")?.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  #draw = (now: number) => {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const ratio = devicePixelRatio;
    if (this.#canvas.width !== width * ratio) this.#canvas.width = width * ratio;
    if (this.#canvas.height !== height * ratio) this.#canvas.height = height * ratio;
    const context = this.#canvas.getContext("2d");
    this.#dots = this.#dots.filter((dot) => now - dot.startedAt < TRAVEL_MS);
    if (context === null) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    for (const dot of this.#dots) {
      const curve = dot.curve();
      if (curve === null) continue;
      const { x, y } = along(curve, Math.max(0, (now - dot.startedAt) / TRAVEL_MS));
      context.fillStyle = dot.colour;
      context.beginPath();
      context.arc(x, y, 5, 0, 2 * Math.PI);
      context.fill();
    }
    this.#frame = this.#dots.length === 0 ? 0 : requestAnimationFrame(this.#draw);
  };
}

/** The place on a quadratic curve, `t` from 0 to 1, starting and ending gently. */
export function along([start, bend, end]: Curve, t: number): Point {
  const eased = t * t * (3 - 2 * t);
  const rest = 1 - eased;
  const mix = (a: number, b: number, c: number) => rest * rest * a + 2 * rest * eased * b + eased * eased * c;
  return { x: mix(start.x, bend.x, end.x), y: mix(start.y, bend.y, end.y) };
}

/** The paths a message takes: to each recipient, or to everyone along the open paths. */
export function routes(
  from: string,
  recipients: readonly string[],
  paths: readonly { from: string; to: string; active: boolean }[],
): string[] {
  const named = recipients.filter((id) => id !== "all");
  return paths
    .filter((path) => path.from === from && (named.length === 0 ? path.active : named.includes(path.to)))
    .map((path) => path.to);
}
