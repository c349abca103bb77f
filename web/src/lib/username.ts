import { uiText as t } from "$lib/text/en/ui";

/** As the server has it. */
const FITS = /^[\p{Alphabetic}\p{N}._@-]{2,64}$/u;

/** What is wrong with a new user name; whether it is taken the server says. */
export function usernameFault(name: string): string | undefined {
  return name === "" || FITS.test(name) ? undefined : t.usernameRule;
}
