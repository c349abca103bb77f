import { catalogue } from "../catalogue";

/** The places of the app outside a session. */
export const placesText = catalogue({
  toSessions: "Go to the sessions",
  toGuide: "Open the user guide",
  toAccount: "Your account: {place}",
  toAdmin: "Administration: {place}",
  account: {
    profile: "Profile",
    password: "Password",
    devices: "Devices",
    factor: "Second factor",
    privacy: "Privacy",
  },
  admin: {
    users: "Users",
    roles: "Roles",
    blocked: "Blocked addresses",
    alerts: "Alerts",
    audit: "Audit",
    settings: "Settings",
  },
});
