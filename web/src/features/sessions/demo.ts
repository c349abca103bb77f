import type { Api } from "$lib/api/endpoints";
import type { Session } from "$lib/api/types";
import { sessionsText as t } from "$lib/text/en/sessions";

const DEMO = {
  name: t.demoName,
  situation: t.demoSituation,
  // The small model is faster than people read.
  pacing_ms: 1000,
} as const;

/** One click: makes the session and sends `start`. */
export async function startDemo(api: Api, id: string): Promise<Session> {
  const session = await api.createSession(
    { ...DEMO, session_type: "single_user", turn_order: "sequential" },
    id,
  );
  await api.command(session.session_id, "start", {}, id);
  return session;
}
