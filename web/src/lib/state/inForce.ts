/** What comes with the cast and may be changed during a session, as it was at the moment that is looked at. */
import type { Cast } from "$lib/api/types";
import type { Now } from "./fold";

export function thresholdsOf(now: Now | null, cast: Cast | null): Cast["thresholds"] | null {
  return (now?.settings.thresholds as Cast["thresholds"] | undefined) ?? cast?.thresholds ?? null;
}

export function presetsOf(now: Now | null, cast: Cast | null): Cast["stimuli"] {
  return (now?.settings.stimuli as Cast["stimuli"] | undefined) ?? cast?.stimuli ?? [];
}
