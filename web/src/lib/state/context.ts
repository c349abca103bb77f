import { createContext } from "svelte";
import type { SessionStore } from "./session.svelte";

/** The open session, for everything below the shell. */
export const [useSession, provideSession] = createContext<SessionStore>();
