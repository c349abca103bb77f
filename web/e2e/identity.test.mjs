// One person's way through the program: registering, signing in, locked out, a second factor, devices, privacy.
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Caller, firstAdmin, newPerson, PERSON, signInWith } from "./api.mjs";
import { launchBrowser, openPage, scrollsSideways, violations } from "./browser.mjs";
import { startPsyche, stopPsyche } from "./psyche.mjs";
import { totp } from "./totp.mjs";

const PICTURES = new URL("../test-results/pictures/", import.meta.url).pathname;
const ADA = { username: "ada", email: "ada@example.org", password: "a key under the second stone" };
const SECTIONS = ["profile", "password", "devices", "factor", "privacy"];

let world;
let browser;
let admin;
let main;

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  world = await startPsyche({ settings: `second_factor_roles = ["researcher"]` });
  admin = await firstAdmin(world.url);
  browser = await launchBrowser();
  main = await openPage(browser);
});

after(async () => {
  await browser?.close();
  if (world) await stopPsyche(world);
});

const sessions = (page) => page.getByRole("heading", { name: "Sessions" });
const signIn = (page, person = ADA) => signInWith(page, world.url, person.username, person.password);

test("registration: closed is said, open makes an observer who has agreed", async () => {
  const { page } = main;
  await page.goto(`${world.url}#/register`);
  await page.getByRole("heading", { name: "Registration is closed" }).waitFor();
  await admin.call("PATCH", "/system/configuration", { registration: "open" });
  await page.goto(world.url);
  await page.getByRole("link", { name: "Make an account" }).click();
  await page.getByRole("heading", { name: "Make an account" }).waitFor();
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}register.png` });
  await page.getByLabel("User name").fill(ADA.username);
  await page.getByLabel("Email").fill(ADA.email);
  await page.getByLabel("Name shown to others").fill("Ada");
  await page.getByLabel("Password").fill("too short");
  await page.getByText("12 characters or more, please.").waitFor();
  await page.getByLabel("Password").fill(ADA.password);
  const make = page.getByRole("button", { name: "Make the account and sign in" });
  assert.equal(await make.isDisabled(), true, "without agreeing there is no account");
  await page.getByLabel("I agree to this").check();
  await make.click();
  await sessions(page).waitFor();
  await page.getByText("You see the sessions that are shared with you.").waitFor();
  const { items } = await admin.call("GET", "/users");
  assert.equal(items.find((user) => user.username === "ada").role, "observer");
});

test("the profile is changed, and the name in the bar with it", async () => {
  const { page } = main;
  await page.getByLabel(/^Account/).click();
  await page.getByRole("link", { name: "Your account" }).click();
  await page.getByRole("heading", { name: "Profile" }).waitFor();
  await page.getByLabel("Name shown to others").fill("Ada of the bells");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.", { exact: true }).waitFor();
  assert.match(await page.getByLabel(/^Account/).innerText(), /Ada of the bells/);
});

test("a wrong current password is said where it was typed; a right one ends the other sign-ins", async () => {
  const { page, quietly } = main;
  const other = await openPage(browser);
  await signIn(other.page);
  await sessions(other.page).waitFor();
  await other.page.goto(`${world.url}#/account/privacy`);
  await other.page.getByText("Take your data along").waitFor();

  await page.goto(`${world.url}#/account/password`);
  await page.getByLabel("New password").fill("a key under the third stone");
  await page.getByLabel("Current password").fill("not the right password");
  await quietly(async () => {
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.getByText("Is not right").waitFor();
  });
  await page.getByLabel("Current password").fill(ADA.password);
  await page.getByRole("button", { name: "Change the password" }).click();
  await page.getByText("Your password is changed.").waitFor();
  ADA.password = "a key under the third stone";

  await other.quietly(async () => {
    // It notices with its next call, and comes back to where it was.
    await other.page.goto(`${world.url}#/account/devices`);
    await other.page.getByText("Your sign-in ended. Sign in again to return to where you were.").waitFor();
    await other.page.getByLabel("User name").fill(ADA.username);
    await other.page.getByLabel("Password").fill(ADA.password);
    await other.page.getByRole("button", { name: "Sign in" }).click();
    await other.page.getByRole("heading", { name: "Devices" }).waitFor();
  });
  assert.match(other.page.url(), /#\/account\/devices$/u);
  await other.context.close();
});

test("devices: this one is named, the others are ended", async () => {
  const { page } = main;
  const phone = await openPage(browser, {
    userAgent:
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
  });
  await signIn(phone.page);
  await sessions(phone.page).waitFor();
  await page.goto(`${world.url}#/account/devices`);
  await page.getByText("Safari on iPhone").waitFor();
  assert.equal(await page.getByText("This device").count(), 1);
  await page.getByRole("button", { name: "End the sign-in of Safari on iPhone" }).click();
  await page.getByText("Safari on iPhone").waitFor({ state: "detached" });
  await phone.quietly(async () => {
    await phone.page.goto(`${world.url}#/account/profile`);
    await phone.page.getByRole("heading", { name: "Sign in" }).waitFor();
  });
  await phone.context.close();
  await page.getByRole("button", { name: "End all others" }).click();
  await page.getByText("You are signed in nowhere else.").waitFor();
});

let codes = [];

test("a second factor is set up: secret, picture, a code, and recovery codes that are shown once", async () => {
  const { page, quietly } = main;
  await page.goto(`${world.url}#/account/factor`);
  await page.getByLabel("Your password").fill(ADA.password);
  await page.getByRole("button", { name: "Set it up" }).click();
  await page.getByRole("img", { name: /QR code/ }).waitFor();
  const secret = await page.locator(".secret").innerText();
  assert.match(secret.replaceAll(" ", ""), /^[A-Z2-7]{32}$/u);
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}second-factor.png` });
  const confirm = page.getByRole("button", { name: "Turn it on" });
  await quietly(async () => {
    const wrong = totp(secret, Date.now() - 3_600_000);
    await page.getByLabel("Code", { exact: true }).fill(wrong === totp(secret) ? "000000" : wrong);
    await confirm.click();
    await page.getByText(/Is not right/).waitFor();
  });
  await page.getByLabel("Code", { exact: true }).fill(totp(secret));
  await confirm.click();
  await page.getByText("The second factor is on.").waitFor();
  codes = await page.locator("main ul li").allInnerTexts();
  assert.equal(new Set(codes).size, 10);
  const waiting = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download" }).click();
  const file = await readFile(await (await waiting).path(), "utf8");
  for (const code of codes) assert.ok(file.includes(code));
  const done = page.getByRole("button", { name: "Done" });
  assert.equal(await done.isDisabled(), true);
  await page.getByLabel("I have kept them").check();
  await done.click();
  await page.getByText("10 of 10 recovery codes are left.").waitFor();
  await page.reload();
  await page.getByText("10 of 10 recovery codes are left.").waitFor();
  for (const code of codes) assert.equal(await page.getByText(code).count(), 0, "a code is shown again");
});

test("signing in asks for the code; a wrong one is refused, a recovery code gets in once", async () => {
  const { page, quietly } = main;
  await page.getByLabel(/^Account/).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await quietly(async () => {
    await signIn(page);
    await page.getByRole("heading", { name: "Second factor" }).waitFor();
    assert.deepEqual(await violations(page), []);
    assert.equal(await page.getByRole("alert").count(), 0, "asking is no refusal");
    // Typed, not filled in: the field must have the focus by itself.
    await page.keyboard.type("000000");
    await page.keyboard.press("Enter");
    await page.getByText("This code is not right.").waitFor();
    await page.getByLabel("Code").fill(codes[0]);
    await page.getByRole("button", { name: "Sign in" }).click();
    await sessions(page).waitFor();
  });
  await page.goto(`${world.url}#/account/factor`);
  await page.getByText("9 of 10 recovery codes are left.").waitFor();
});

test("one's own data is taken along as a file, for the password and a code", async () => {
  const { page, quietly } = main;
  await page.goto(`${world.url}#/account/privacy`);
  const form = page.locator("form", { hasText: "Download my data" });
  await page.getByText(/^Version 1/).waitFor();
  await form.getByLabel("Your password").fill("not the right password");
  await form.getByLabel("Code").fill(codes[1]);
  await quietly(async () => {
    await form.getByRole("button").click();
    await form.getByText("Is not right").waitFor();
  });
  await form.getByLabel("Your password").fill(ADA.password);
  await form.getByLabel("Code").fill(codes[1]);
  const waiting = page.waitForEvent("download");
  await form.getByRole("button").click();
  const download = await waiting;
  assert.match(download.suggestedFilename(), /\.zip$/u);
  const zip = await readFile(await download.path());
  assert.equal(zip.subarray(0, 2).toString(), "PK");
  assert.ok(zip.includes("profile.json"), "the archive holds no profile");
  await page.getByText(/is in your downloads/).waitFor();
});

test("the second factor is turned off with a code", async () => {
  const { page } = main;
  await page.goto(`${world.url}#/account/factor`);
  await page.getByRole("button", { name: "Turn off…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Your password").fill(ADA.password);
  await dialog.getByLabel("Code").fill(codes[2]);
  assert.deepEqual(await violations(page), []);
  await dialog.getByRole("button", { name: "Turn off" }).click();
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Set it up" }).waitFor();
});

test("every section: no axe violation, no sideways scroll, in light, dark and narrow; failing ones say so", async () => {
  const { page, quietly } = main;
  const looks = [
    ["dark", { width: 1440, height: 900 }],
    ["light", { width: 1440, height: 900 }],
    ["dark", { width: 390, height: 844 }],
    ["light", { width: 390, height: 844 }],
    ["light", { width: 320, height: 700 }],
  ];
  for (const [colorScheme, size] of looks) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);
    for (const section of SECTIONS) {
      await page.goto(`${world.url}#/account/${section}`);
      await page.waitForLoadState("networkidle");
      await page.waitForTimeout(100);
      const name = `account-${section}-${colorScheme}-${size.width}`;
      await page.screenshot({ path: `${PICTURES}${name}.png` });
      assert.deepEqual(await violations(page), [], name);
      assert.equal(await scrollsSideways(page), false, `${name} scrolls sideways`);
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await quietly(async () => {
    await page.route("**/api/v1/auth/devices", (route) => route.abort());
    await page.goto(`${world.url}#/account/devices`);
    await page.getByText("Your devices could not be loaded").waitFor();
    assert.deepEqual(await violations(page), []);
    await page.unroute("**/api/v1/auth/devices");
    await page.getByRole("button", { name: "Retry" }).click();
    await page.getByText("This device").waitFor();
  });
});

test("a role that demands a second factor: nothing else opens until it is there", async () => {
  const ben = { username: "ben", password: "seven doors and one more" };
  await newPerson(admin, "ben", "researcher", ben.password);
  const { page, context, complaints } = await openPage(browser);
  await signIn(page, ben);
  await page.getByText("Your role asks for a second factor.").first().waitFor();
  await page.goto(`${world.url}#/`);
  await page.getByRole("heading", { name: "Second factor" }).waitFor();
  await page.getByLabel("Your password").fill(ben.password);
  await page.getByRole("button", { name: "Set it up" }).click();
  const secret = await page.locator(".secret").innerText();
  await page.getByLabel("Code", { exact: true }).fill(totp(secret));
  await page.getByRole("button", { name: "Turn it on" }).click();
  await page.getByLabel("I have kept them").check();
  await page.getByRole("button", { name: "Done" }).click();
  await sessions(page).waitFor();
  await page.getByText("No sessions yet").waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

test("too many wrong passwords: the wait counts down, and the button waits with it", async () => {
  const { page, context, quietly } = await openPage(browser);
  await quietly(async () => {
    await page.goto(world.url);
    for (let attempt = 0; attempt < 6; attempt += 1) {
      await page.getByLabel("User name").fill("somebody-else");
      await page.getByLabel("Password").fill(`wrong password number ${attempt}`);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.locator("button[type=submit]:not([aria-busy])").waitFor();
      if ((await page.getByText("Too many attempts.").count()) > 0) break;
      await page.getByText("User name or password is not right.").waitFor();
    }
    await page.getByText("Too many attempts.").waitFor();
    const wait = page.locator(".wait");
    const first = await wait.innerText();
    assert.match(first, /\d+ (?:s|min)/u);
    await page.waitForFunction((text) => document.querySelector(".wait")?.textContent !== text, first);
    assert.equal(await page.getByRole("button", { name: "Sign in" }).isDisabled(), true);
    assert.deepEqual(await violations(page), []);
  });
  await context.close();
});

test("a reset link sets a password once", async () => {
  const { items } = await admin.call("GET", "/users");
  const ada = items.find((user) => user.username === "ada");
  const { reset_token } = await admin.call("POST", `/users/${ada.user_id}/password-reset`, {});
  const { page, context, quietly } = await openPage(browser);
  await page.goto(`${world.url}#reset=${encodeURIComponent(reset_token)}`);
  await page.getByRole("heading", { name: "Set your password" }).waitFor();
  assert.deepEqual(await violations(page), []);
  ADA.password = "a key under the fourth stone";
  await page.getByLabel("New password").fill(ADA.password);
  await page.getByRole("button", { name: "Set the password" }).click();
  await page.getByRole("heading", { name: "Password set" }).waitFor();
  await page.getByRole("button", { name: "To the sign-in" }).click();
  await signIn(page);
  await sessions(page).waitFor();
  assert.ok(!page.url().includes(reset_token), "the token stays in the address bar");
  await quietly(async () => {
    await page.goto(`${world.url}#reset=${encodeURIComponent(reset_token)}`);
    await page.getByLabel("New password").fill("a key under the fifth stone");
    await page.getByRole("button", { name: "Set the password" }).click();
    await page.getByText("This link no longer works.").waitFor();
  });
  await context.close();
});

test("the account is erased after its name was typed, and is gone", async () => {
  const { page, context, quietly } = await openPage(browser);
  await signIn(page);
  await sessions(page).waitFor();
  await page.goto(`${world.url}#/account/privacy`);
  await page.getByRole("button", { name: "Erase my account…" }).click();
  const dialog = page.getByRole("dialog");
  const erase = dialog.getByRole("button", { name: "Erase for good" });
  await dialog.getByLabel("Your password").fill(ADA.password);
  assert.equal(await erase.isDisabled(), true, "the name was not typed yet");
  await dialog.getByLabel(/Type your user name/).fill("ada");
  assert.deepEqual(await violations(page), []);
  await erase.click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await assert.rejects(new Caller(world.url).signIn(ADA.username, ADA.password), { status: 401 });
  await quietly(async () => {
    await signIn(page);
    await page.getByText("User name or password is not right.").waitFor();
  });
  const { items } = await admin.call("GET", "/users");
  assert.equal(
    items.some((user) => user.username === "ada"),
    false,
  );
  await context.close();
});

test("the last administrator is not erased, and is told why", async () => {
  const { page, context, quietly } = await openPage(browser);
  await signIn(page, PERSON);
  await sessions(page).waitFor();
  await page.goto(`${world.url}#/account/privacy`);
  await page.getByRole("button", { name: "Erase my account…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(/Type your user name/).fill(PERSON.username);
  await dialog.getByLabel("Your password").fill(PERSON.password);
  await quietly(async () => {
    await dialog.getByRole("button", { name: "Erase for good" }).click();
    await dialog.getByText(/last active admin/).waitFor();
  });
  await context.close();
});

test("what an erased person wrote reads [erased], also for those who are watching", async () => {
  const tove = { username: "tove", password: "a lamp behind the window" };
  const user = await newPerson(admin, tove.username, "observer", tove.password);
  const { session_id: id } = await admin.call("POST", "/sessions", {
    session_type: "shared",
    name: "Erased",
    max_rounds: 2,
  });
  await admin.call("PUT", `/sessions/${id}/participants/${user.user_id}`, { relation: "participant" });
  const canary = "the heron at the seventh lock";
  const theirs = await new Caller(world.url).signIn(tove.username, tove.password);
  await theirs.call("POST", `/sessions/${id}/annotations`, { seq: 1, text: canary });
  const { page, context, complaints } = await openPage(browser);
  await signIn(page, PERSON);
  await sessions(page).waitFor();
  await page.goto(`${world.url}#/s/${id}/conversation`);
  await page.getByText(canary).first().waitFor({ state: "attached" });
  await theirs.call("POST", "/auth/erase", { password: tove.password });
  await page.getByText(canary).waitFor({ state: "detached" });
  await page.getByText("[erased]").first().waitFor({ state: "attached" });
  await page.reload();
  await page.getByText("[erased]").first().waitFor({ state: "attached" });
  assert.equal(await page.getByText(canary).count(), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("the sign-in is renewed in the background before it ends, once for all, and nobody notices", async () => {
  // Nine seconds to live, renewed with less than six left.
  const short = await startPsyche({
    settings: "jwt_expiration_hours = 0.0025\njwt_refresh_threshold_hours = 0.001667",
  });
  try {
    await firstAdmin(short.url);
    const { page, context, complaints } = await openPage(browser);
    const renewals = [];
    const refused = [];
    page.on("request", (request) => {
      if (request.url().endsWith("/auth/refresh")) renewals.push(Date.now());
    });
    page.on("response", (response) => response.status() === 401 && refused.push(response.url()));
    await signInWith(page, short.url, PERSON.username, PERSON.password);
    await sessions(page).waitFor();
    // The list asks again and again by itself.
    await page.waitForTimeout(14_000);
    await page.goto(`${short.url}#/account/devices`);
    await page.getByText("This device").waitFor();
    assert.ok(renewals.length >= 2 && renewals.length <= 5, `renewed ${renewals.length} times`);
    for (const [at, time] of renewals.entries())
      if (at > 0) assert.ok(time - renewals[at - 1] > 1500, "renewed twice at once");
    assert.deepEqual(refused, []);
    assert.deepEqual(complaints, []);
    await context.close();
  } finally {
    await stopPsyche(short);
  }
});

test("nothing complained", () => {
  assert.deepEqual(main.complaints, []);
});
