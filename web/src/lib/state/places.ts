/** The places of the app outside a session, for menus, side bars and the palette alike. */
import type { SignedInUser } from "$lib/api/types";
import type { Action } from "./commands";
import { ACCOUNT, ADMIN, router, type AccountSection, type AdminSection } from "./router.svelte";

export const ACCOUNT_TITLES: Record<AccountSection, string> = {
  profile: "Profile",
  password: "Password",
  devices: "Devices",
  factor: "Second factor",
  privacy: "Privacy",
};
export const ADMIN_TITLES: Record<AdminSection, string> = {
  users: "Users",
  roles: "Roles",
  blocked: "Blocked addresses",
  alerts: "Alerts",
  audit: "Audit",
  settings: "Settings",
};

/** One action per place this person may go to. */
export function placeActions(user: () => SignedInUser | null): Action[] {
  return [
    { id: "go.sessions", title: "Go to the sessions", run: () => router.go({ page: "sessions" }) },
    {
      id: "go.help",
      title: "Open the user guide",
      run: () => router.go({ page: "help", name: "measures", at: "" }),
    },
    ...ACCOUNT.map((section) => ({
      id: `go.account.${section}`,
      title: `Your account: ${ACCOUNT_TITLES[section]}`,
      run: () => router.go({ page: "account", section }),
    })),
    ...ADMIN.map((section) => ({
      id: `go.admin.${section}`,
      title: `Administration: ${ADMIN_TITLES[section]}`,
      hidden: () => user()?.role !== "admin",
      run: () => router.go({ page: "admin", section, filter: "" }),
    })),
  ];
}
