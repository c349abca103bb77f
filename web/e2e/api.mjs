// Calls to the program without a browser, for what a test needs to find when it opens a page.
import { SETUP_CODE } from "./psyche.mjs";

export const PERSON = {
  username: "mira",
  email: "mira@example.org",
  password: "a letter that nobody opened",
};

export class Refusal extends Error {
  constructor(status, text) {
    super(`${status} ${text}`);
    this.status = status;
  }
}

/** One person's calls; `call` without a sign-in is anonymous. */
export class Caller {
  constructor(url, headers = {}) {
    this.url = url;
    this.headers = headers;
    this.token = null;
  }

  async call(method, path, body) {
    const response = await fetch(`${this.url}api/v1${path}`, {
      method,
      headers: {
        ...this.headers,
        ...(this.token === null ? {} : { Authorization: `Bearer ${this.token}` }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Refusal(response.status, `${method} ${path}: ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  async signIn(username, password, more = {}) {
    const answer = await this.call("POST", "/auth/login", { username, password, ...more });
    this.token = answer.access_token;
    this.user = answer.user;
    return this;
  }
}

/** Makes the first administrator of a fresh program, and signs in. */
export async function firstAdmin(url) {
  const admin = new Caller(url);
  await admin.call("POST", "/setup", { setup_code: SETUP_CODE, ...PERSON });
  return admin.signIn(PERSON.username, PERSON.password);
}

/** Makes somebody with a password of their own, the way an administrator does it. */
export async function newPerson(admin, username, role, password) {
  const { user, reset_token } = await admin.call("POST", "/users", {
    username,
    email: `${username}@example.org`,
    role,
  });
  await new Caller(admin.url).call("POST", "/auth/password-reset", {
    token: reset_token,
    new_password: password,
  });
  return user;
}

/** Signs in through the form. */
export async function signInWith(page, url, username, password) {
  await page.goto(url);
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}
