/** The places of the app outside a session, for menus, side bars and the palette alike. */
import type { SignedInUser } from "$lib/api/types";
import { placesText as t } from "$lib/text/en/places";
import type { Action } from "./commands";
import { ACCOUNT, ADMIN, router } from "./router.svelte";

/** One action per place this person may go to. */
export function placeActions(user: () => SignedInUser | null): Action[] {
  return [
    { id: "go.sessions", title: t.toSessions, run: () => router.go({ page: "sessions" }) },
    {
      id: "go.help",
      title: t.toGuide,
      run: () => router.go({ page: "help", name: "measures", at: "" }),
    },
    ...ACCOUNT.map((section) => ({
      id: `go.account.${section}`,
      title: t.toAccount({ place: t.account[section] }),
      run: () => router.go({ page: "account", section }),
    })),
    ...ADMIN.map((section) => ({
      id: `go.admin.${section}`,
      title: t.toAdmin({ place: t.admin[section] }),
      hidden: () => user()?.role !== "admin",
      run: () => router.go({ page: "admin", section, filter: "" }),
    })),
  ];
}
