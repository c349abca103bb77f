import { describe, expect, it, vi } from "vitest";
import { SignIn } from "./auth.svelte";
import { Client, type TokenSource, type Transport } from "./client";
import type { ApiError } from "./errors";

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers });
const refusal = (status: number, kind: string, headers: Record<string, string> = {}) =>
  json(
    status,
    { error: { code: status, kind, message: `no: ${kind}`, timestamp: "", path: "/", request_id: "r-1" } },
    headers,
  );

function tokens(renewed: boolean): TokenSource & { renewals: number } {
  let token = "old";
  return {
    renewals: 0,
    accessToken: () => token,
    renew() {
      this.renewals += 1;
      if (renewed) token = "new";
      return Promise.resolve(renewed);
    },
  };
}

const sentToken = (transport: ReturnType<typeof vi.fn<Transport>>, call: number) =>
  (transport.mock.calls[call]?.[1].headers as Record<string, string>).Authorization;

describe("a 401", () => {
  it("is answered by one renewal and one retry with the new token", async () => {
    const source = tokens(true);
    const transport = vi
      .fn<Transport>()
      .mockResolvedValueOnce(refusal(401, "unauthenticated"))
      .mockResolvedValueOnce(json(200, { ok: true }));
    await expect(new Client(source, transport).call("/sessions")).resolves.toEqual({ ok: true });
    expect(source.renewals).toBe(1);
    expect([sentToken(transport, 0), sentToken(transport, 1)]).toEqual(["Bearer old", "Bearer new"]);
  });

  it("is not retried twice", async () => {
    const source = tokens(true);
    const transport = vi
      .fn<Transport>()
      .mockImplementation(() => Promise.resolve(refusal(401, "unauthenticated")));
    await expect(new Client(source, transport).call("/sessions")).rejects.toMatchObject({ status: 401 });
    expect(transport).toHaveBeenCalledTimes(2);
  });

  it("is the answer when nothing could be renewed", async () => {
    const transport = vi.fn<Transport>().mockResolvedValue(refusal(401, "unauthenticated"));
    await expect(new Client(tokens(false), transport).call("/sessions")).rejects.toMatchObject({
      status: 401,
    });
    expect(transport).toHaveBeenCalledTimes(1);
  });
});

describe("an error", () => {
  it("carries the cause, the request id and the time to wait", async () => {
    const transport = vi
      .fn<Transport>()
      .mockResolvedValue(refusal(429, "rate_limited", { "Retry-After": "17" }));
    const error = await new Client(tokens(true), transport)
      .call("/x")
      .catch((cause: unknown) => cause as ApiError);
    expect(error).toMatchObject({
      status: 429,
      kind: "rate_limited",
      requestId: "r-1",
      retryAfterSeconds: 17,
    });
  });

  it("is still one when the answer is not ours", async () => {
    const transport = vi
      .fn<Transport>()
      .mockResolvedValue(new Response("<html>", { status: 502, headers: { "X-Request-ID": "r-2" } }));
    const error = await new Client(tokens(true), transport)
      .call("/x")
      .catch((cause: unknown) => cause as ApiError);
    expect(error).toMatchObject({ status: 502, requestId: "r-2" });
  });

  it("is told when the server cannot be reached", async () => {
    const transport = vi.fn<Transport>().mockRejectedValue(new TypeError("fetch failed"));
    await expect(new Client(tokens(true), transport).call("/x")).rejects.toMatchObject({
      status: 0,
      kind: "unreachable",
    });
  });
});

describe("renewing", () => {
  const answer = {
    access_token: "a",
    refresh_token: null,
    token_type: "bearer",
    expires_in: 86_400,
    user: { permissions: [] },
  };

  it("happens once for all who wait", async () => {
    let calls = 0;
    vi.stubGlobal("fetch", () => {
      calls += 1;
      return Promise.resolve(json(200, answer));
    });
    const signIn = new SignIn();
    await expect(Promise.all([signIn.renew(), signIn.renew(), signIn.renew()])).resolves.toEqual([
      true,
      true,
      true,
    ]);
    expect(calls).toBe(1);
    await signIn.renew();
    expect(calls).toBe(2);
    vi.unstubAllGlobals();
  });

  it("ends the sign-in on a clear no, and not when the server is away", async () => {
    const answers = [
      () => json(200, answer),
      () => refusal(503, "unavailable"),
      () => refusal(401, "unauthenticated"),
    ];
    vi.stubGlobal("fetch", () => Promise.resolve(answers.shift()?.()));
    const signIn = new SignIn();
    await signIn.renew();
    await expect(signIn.renew()).resolves.toBe(false);
    expect(signIn.user).not.toBeNull();
    await expect(signIn.renew()).resolves.toBe(false);
    expect(signIn.user).toBeNull();
    expect(signIn.expired).toBe(true);
    vi.unstubAllGlobals();
  });
});
