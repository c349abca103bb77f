import Circle from "@lucide/svelte/icons/circle";
import CirclePause from "@lucide/svelte/icons/circle-pause";
import CirclePlay from "@lucide/svelte/icons/circle-play";
import CircleStop from "@lucide/svelte/icons/circle-stop";
import CircleX from "@lucide/svelte/icons/circle-x";
import type { SessionStatus } from "$lib/api/types";

export const STATUS = {
  created: { icon: Circle, tone: "plain" },
  running: { icon: CirclePlay, tone: "good" },
  paused: { icon: CirclePause, tone: "watch" },
  stopped: { icon: CircleStop, tone: "plain" },
  failed: { icon: CircleX, tone: "bad" },
} as const satisfies Record<SessionStatus, unknown>;
