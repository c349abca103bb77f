const LEAST = 12;
const MOST = 128;

/** What is wrong with a new password that can be told before asking the server; it judges the rest. */
export function passwordFault(password: string): string | undefined {
  if (password === "") return undefined;
  const length = Array.from(password.normalize("NFKC")).length;
  if (length < LEAST) return `${LEAST} characters or more, please.`;
  if (length > MOST) return `${MOST} characters at most, please.`;
  return undefined;
}
