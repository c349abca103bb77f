// Made-up people, records and alerts for looking at the account and admin pages without a server.

const uid = (last) => `0193a000-0000-7000-8000-0000000000${last}`;
const minutesAgo = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();

const person = (last, username, display_name, role, status = "active", seen = 3) => ({
  user_id: uid(last),
  username,
  display_name,
  email: `${username}@example.org`,
  role,
  status,
  permissions: [],
  last_login: seen === null ? null : minutesAgo(seen),
  created_at: "2026-10-04T08:11:00Z",
});

const PEOPLE = [
  person("a1", "mira", "Mira", "admin", "active", 12),
  person("a2", "ben", "Ben Oduya", "researcher", "active", 190),
  person(
    "a3",
    "noor",
    "Noor van der Velde-Castellanos of the second laboratory",
    "researcher",
    "active",
    4000,
  ),
  person("a4", "guest-2026-11", "Guest", "observer", "disabled", 90_000),
  person("a5", "ilse", "Ilse", "observer", "active", null),
];

const TYPES = [
  ["auth.login.success", "low", "success"],
  ["auth.login.failure", "medium", "failure"],
  ["authz.access.denied", "medium", "denied"],
  ["authz.permission.changed", "high", "success"],
  ["auth.token.reuse", "critical", "denied"],
  ["data.exported", "medium", "success"],
  ["system.config.changed", "high", "success"],
];
function row(seq, minutes) {
  const [event_type, severity, outcome] = TYPES[seq % TYPES.length];
  const who = PEOPLE[seq % PEOPLE.length];
  const known = event_type !== "auth.login.failure";
  return {
    seq,
    event_id: `0193b000-0000-7000-8000-${String(seq).padStart(12, "0")}`,
    event_type,
    severity,
    timestamp: minutesAgo(minutes),
    user_id: known ? who.user_id : null,
    username: known ? who.username : null,
    session_id: null,
    ip_address: seq % 3 === 0 ? "2001:db8:51a0:7::1f" : "203.0.113.7",
    request_id: "5f2e-77aa-91bc",
    outcome,
    details:
      event_type === "authz.permission.changed" ? { from: "observer", to: "researcher", whom: "ben" } : {},
  };
}

/** `broken` breaks the chain; `factor` has the second factor on; `empty` has nothing anywhere. */
export function identityAnswers({
  id,
  user,
  empty,
  broken = false,
  factor = false,
  registration = "closed",
}) {
  const profile = () => ({
    ...PEOPLE[0],
    username: user.username,
    display_name: user.display_name,
    preferences: {},
    mfa: { enabled: factor, required: false, recovery_codes_left: factor ? 2 : 0 },
    consents: empty ? [] : [{ version: "2026-11", at: "2026-11-02T09:30:00Z" }],
  });
  const page = (items) => ({ items: empty ? [] : items, next_cursor: null });
  const done = { status: "success", message: "Done" };
  const made = (username) => ({
    user: { ...PEOPLE[4], user_id: uid("b1"), username, email: `${username}@example.org` },
    reset_token: "qS0c5nXh1v9mE2kQ7tYw3A",
    expires_at: new Date(Date.now() + 30 * 60_000).toISOString(),
  });
  return {
    "GET auth/me": profile,
    "PATCH auth/me": (_, body) => ({ ...profile(), ...body }),
    "POST auth/register": () => PEOPLE[4],
    "POST auth/password-reset": () => ({
      status: 422,
      kind: "invalid",
      details: [{ field: "token", message: "is not known, used already or too old" }],
    }),
    "POST auth/password": () => ({
      status: 422,
      kind: "invalid",
      details: [{ field: "current_password", message: "is not right" }],
    }),
    "GET auth/devices": () => ({
      items: [
        {
          device_id: "d1",
          name: "",
          ip: "203.0.113.7",
          user_agent:
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
          created_at: "2026-11-20T08:11:00Z",
          last_seen: minutesAgo(0),
          current: true,
        },
        ...(empty
          ? []
          : [
              {
                device_id: "d2",
                name: "",
                ip: "2001:db8:51a0:7::1f",
                user_agent:
                  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                created_at: "2026-11-12T18:40:00Z",
                last_seen: minutesAgo(640),
                current: false,
              },
            ]),
      ],
    }),
    "POST auth/mfa/enrol": () => ({
      secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
      otpauth_url: "otpauth://totp/psyche:mira?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=psyche",
    }),
    "POST auth/mfa/confirm": () => ({
      recovery_codes: Array.from({ length: 10 }, (_, at) => `${at}k7f-${at}q2m-9xw${at}`),
    }),
    "POST auth/erase": () => ({
      status: 409,
      kind: "conflict",
      message: "The last active admin cannot be erased.",
    }),
    "GET users": () => ({ items: PEOPLE, next_cursor: null }),
    "POST users": (_, body) => made(body.username),
    [`PATCH users/${uid("a1")}`]: () => ({
      status: 409,
      kind: "conflict",
      message: "The last active admin cannot be demoted or disabled.",
    }),
    [`POST users/${uid("a2")}/password-reset`]: () => made("ben"),
    [`POST users/${uid("a2")}/unlock`]: () => done,
    "GET audit": (url) => {
      const all = Array.from({ length: 40 }, (_, at) => row(240 - at, at * 7 + 1));
      const type = url.searchParams.get("event_type");
      return {
        ...page(all.filter((each) => type === null || each.event_type === type)),
        next_cursor: empty ? null : "older",
      };
    },
    "GET audit/verify": () => ({
      whole: !broken,
      rows: 240,
      first_seq: 1,
      last_seq: 240,
      checkpoint: { seq: 200, timestamp: minutesAgo(300) },
      problems: broken
        ? [
            { seq: 118, what: "its hash does not follow from row 117: it was changed, or 117 was" },
            { seq: 131, what: "missing: the chain goes from 130 to 132" },
          ]
        : [],
    }),
    "GET security/blocked-ips": () =>
      page([
        {
          ip: "198.51.100.23",
          reason: "failed sign-ins",
          blocked_at: minutesAgo(20),
          until: minutesAgo(-40),
          times: 1,
        },
        {
          ip: "2001:db8:bad::/64",
          reason: "failed sign-ins",
          blocked_at: minutesAgo(300),
          until: minutesAgo(-700),
          times: 4,
        },
      ]),
    "GET security/alerts": () =>
      page([
        {
          alert_id: "x1",
          rule: "token_reuse",
          severity: "critical",
          message: "A refresh token that was spent came back. The sign-in has ended.",
          user_id: PEOPLE[1].user_id,
          username: "ben",
          ip_address: "198.51.100.23",
          timestamp: minutesAgo(31),
        },
        {
          alert_id: "x2",
          rule: "new_device",
          severity: "medium",
          message: "Signed in from a device that was not seen before.",
          user_id: PEOPLE[2].user_id,
          username: "noor",
          ip_address: "2001:db8:51a0:7::1f",
          timestamp: minutesAgo(400),
        },
      ]),
    "GET system/configuration": () => ({ registration }),
    "PATCH system/configuration": (_, body) => body,
    "GET system/status": () => ({
      status: "healthy",
      dependencies: { store: "healthy", bus: "healthy" },
      sessions: { running: 1, paused: 0 },
      sockets: 1,
      jobs: empty
        ? []
        : [
            { name: "audit_rows", last_run: minutesAgo(55), outcome: "success", removed: 1204 },
            { name: "ended_sign_ins", last_run: minutesAgo(55), outcome: "success", removed: 3 },
            { name: "idempotency_keys", last_run: minutesAgo(3), outcome: "failure", removed: 0 },
          ],
    }),
    [`GET sessions/${id}/state`]: () => ({
      participants: [
        { user_id: PEOPLE[0].user_id, username: "mira", relation: "owner" },
        ...(empty
          ? []
          : [
              { user_id: PEOPLE[1].user_id, username: "ben", relation: "participant" },
              { user_id: PEOPLE[4].user_id, username: "ilse", relation: "viewer" },
            ]),
      ],
      participant_count: empty ? 1 : 3,
    }),
  };
}

/** What arrives while somebody looks. */
export function systemFrames() {
  return [
    { type: "audit", ...row(241, 0) },
    {
      type: "alert",
      alert_id: "x0",
      rule: "failed_authorisation",
      severity: "high",
      message: "Twelve refusals within a minute.",
      user_id: PEOPLE[4].user_id,
      username: "ilse",
      ip_address: "203.0.113.7",
      timestamp: minutesAgo(0),
    },
  ];
}
