import { describe, expect, it, vi } from "vitest";
import { renewAfterS, SignIn } from "./auth.svelte";
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

describe("a 401 that names a field", () => {
  it("is about what was typed: nothing is renewed, nothing is sent twice", async () => {
    const source = tokens(true);
    const details = [{ field: "otp", message: "is not right" }];
    const transport = vi
      .fn<Transport>()
      .mockResolvedValue(json(401, { error: { code: 401, kind: "unauthenticated", message: "", details } }));
    await expect(new Client(source, transport).call("/auth/erase", { method: "POST" })).rejects.toMatchObject(
      {
        status: 401,
        details,
      },
    );
    expect(transport).toHaveBeenCalledTimes(1);
    expect(source.renewals).toBe(0);
  });
});

describe("a download", () => {
  const file = (disposition?: string) =>
    new Response("PK", {
      status: 200,
      headers: disposition === undefined ? {} : { "Content-Disposition": disposition },
    });
  const load = (answer: Response) =>
    new Client(tokens(true), vi.fn<Transport>().mockResolvedValue(answer)).download("/auth/export");

  it("has the name the server gave it, and no path from it", async () => {
    expect((await load(file('attachment; filename="psyche-my-data.zip"'))).name).toBe("psyche-my-data.zip");
    expect((await load(file("attachment; filename=a.zip"))).name).toBe("a.zip");
    expect((await load(file('attachment; filename="../../a.zip"'))).name).toBeNull();
    expect((await load(file())).name).toBeNull();
    expect(await (await load(file())).blob.text()).toBe("PK");
  });

  it("that is refused is an error in words", async () => {
    await expect(load(refusal(403, "forbidden"))).rejects.toMatchObject({ status: 403 });
  });

  it("that breaks off is no file", async () => {
    let pulls = 0;
    const body = new ReadableStream({
      pull(stream) {
        pulls += 1;
        if (pulls === 1) stream.enqueue(new Uint8Array(3));
        else stream.error(new TypeError("network error"));
      },
    });
    const heard: number[] = [];
    const client = new Client(tokens(true), vi.fn<Transport>().mockResolvedValue(new Response(body)));
    await expect(
      client.download("/sessions/1/export", { onbytes: (bytes) => heard.push(bytes) }),
    ).rejects.toMatchObject({ kind: "broken_off" });
    expect(heard).toEqual([3]);
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
    renew_before: 14_400,
    must_enrol: false,
    user: { permissions: [] },
  };

  it.each([
    [86_400, 14_400, 72_000],
    // A life shorter than the threshold is not renewed without end.
    [3600, 14_400, 1800],
    [3600, 0, 3600],
    [3600, undefined, 2400],
    [1, 1, 1],
    // Longer than a timer can be.
    [10_000_000, 10, 1_728_000],
  ])("of a token with %d s to live, %s s before its end, comes after %d s", (life, before, after) => {
    expect(renewAfterS(life, before)).toBe(after);
  });

  it("comes by itself, in the background, when the server said it should", async () => {
    vi.useFakeTimers();
    let calls = 0;
    vi.stubGlobal("fetch", () => {
      calls += 1;
      return Promise.resolve(json(200, { ...answer, must_enrol: calls === 1 }));
    });
    const signIn = new SignIn();
    await signIn.renew();
    expect([calls, signIn.mustEnrol]).toEqual([1, true]);
    await vi.advanceTimersByTimeAsync(71_999_000);
    expect(calls).toBe(1);
    await vi.advanceTimersByTimeAsync(2000);
    expect([calls, signIn.mustEnrol]).toEqual([2, false]);
    signIn.ended();
    await vi.advanceTimersByTimeAsync(100_000_000);
    expect([calls, signIn.user, signIn.expired]).toEqual([2, null, false]);
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("is made up for when a computer wakes after the time for it", async () => {
    vi.useFakeTimers();
    let calls = 0;
    vi.stubGlobal("fetch", () => {
      calls += 1;
      return Promise.resolve(json(200, answer));
    });
    const signIn = new SignIn();
    await signIn.renew();
    document.dispatchEvent(new Event("visibilitychange"));
    expect(calls).toBe(1);
    // The clock went on, the timers did not.
    vi.setSystemTime(Date.now() + 80_000_000);
    document.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(1);
    expect(calls).toBe(2);
    signIn.ended();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

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
