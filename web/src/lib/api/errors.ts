import type { ErrorEnvelope } from "./types";

/** Every failure of a call, in the words of the server's envelope; status 0 when no answer came at all. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    readonly requestId: string | null = null,
    readonly retryAfterSeconds: number | null = null,
    readonly details: { field: string; message: string }[] = [],
  ) {
    super(message);
  }

  /** What the server says about one field of a form, as a sentence below it. */
  field(name: string): string | undefined {
    const message = this.details.find((detail) => detail.field === name)?.message;
    return message === undefined ? undefined : message.charAt(0).toUpperCase() + message.slice(1);
  }

  /** What it says about fields that a form does not show. */
  others(shown: readonly string[]): string[] {
    return this.details
      .filter((detail) => !shown.includes(detail.field))
      .map((detail) => `${detail.field.replaceAll("_", " ")} ${detail.message}`);
  }
}

export function unreachable(): ApiError {
  return new ApiError(
    0,
    "unreachable",
    "The server did not answer. Check that it is running, then try again.",
  );
}

export function brokenOff(): ApiError {
  return new ApiError(0, "broken_off", "The file broke off before its end, and nothing was kept. Try again.");
}

export function asApiError(cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  return new ApiError(0, "internal", cause instanceof Error ? cause.message : String(cause));
}

export async function readError(response: Response): Promise<ApiError> {
  const retryAfter = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const seconds = Number.isFinite(retryAfter) ? retryAfter : null;
  const header = response.headers.get("X-Request-ID");
  try {
    const { error } = (await response.json()) as ErrorEnvelope;
    return new ApiError(
      response.status,
      error.kind,
      error.message,
      error.request_id,
      seconds,
      error.details ?? [],
    );
  } catch {
    const message = `The server answered ${response.status} without saying why.`;
    return new ApiError(response.status, "internal", message, header, seconds);
  }
}
