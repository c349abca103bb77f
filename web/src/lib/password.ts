import { uiText as t } from "$lib/text/en/ui";

const LEAST = 12;
const MOST = 128;

/** What is wrong with a new password that can be told before asking the server; it judges the rest. */
export function passwordFault(password: string): string | undefined {
  if (password === "") return undefined;
  const length = Array.from(password.normalize("NFKC")).length;
  if (length < LEAST) return t.passwordShort({ n: LEAST });
  if (length > MOST) return t.passwordLong({ n: MOST });
  return undefined;
}
