import ChartLine from "@lucide/svelte/icons/chart-line";
import HeartPulse from "@lucide/svelte/icons/heart-pulse";
import MessagesSquare from "@lucide/svelte/icons/messages-square";
import SlidersHorizontal from "@lucide/svelte/icons/sliders-horizontal";
import Waypoints from "@lucide/svelte/icons/waypoints";
import type { Tab } from "$lib/state/router.svelte";
import { shellText as t } from "$lib/text/en/shell";
import { ConversationTab } from "$features/conversation";

/** Each tab but the first is a chunk of its own, loaded when it is opened. */
export const TAB_LIST = [
  { id: "conversation", title: t.tabs.conversation, icon: MessagesSquare },
  { id: "health", title: t.tabs.health, icon: HeartPulse },
  { id: "visualizations", title: t.tabs.visualizations, icon: Waypoints },
  { id: "analysis", title: t.tabs.analysis, icon: ChartLine },
  { id: "settings", title: t.tabs.settings, icon: SlidersHorizontal },
] as const;

export const LOAD = {
  conversation: () => Promise.resolve(ConversationTab),
  health: () => import("$features/health").then((chunk) => chunk.HealthTab),
  visualizations: () => import("$features/visualizations").then((chunk) => chunk.VisualizationsTab),
  analysis: () => import("$features/analysis").then((chunk) => chunk.AnalysisTab),
  settings: () => import("$features/settings").then((chunk) => chunk.SettingsTab),
} as const satisfies Record<Tab, unknown>;
