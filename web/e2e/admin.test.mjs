// What administrators do in the browser, against the real program: people, roles, blocks, alerts, the audit, settings;
// and how a session is shared.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Caller, firstAdmin, newPerson, PERSON, signInWith } from "./api.mjs";
import { launchBrowser, openPage, scrollsSideways, settled, violations } from "./browser.mjs";
import { startPsyche, stopPsyche } from "./psyche.mjs";

const PICTURES = new URL("../test-results/pictures/", import.meta.url).pathname;
const SECTIONS = ["users", "roles", "blocked", "alerts", "audit", "settings"];
const BEN = { username: "ben", password: "seven doors and one more" };
const NOOR = { username: "noor", password: "the bells of another town" };

let world;
let browser;
let admin;
let main;

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  // Trusted, so that a test can come from elsewhere.
  world = await startPsyche({ settings: `trusted_proxies = ["127.0.0.1/32"]` });
  admin = await firstAdmin(world.url);
  browser = await launchBrowser();
  main = await openPage(browser);
  await signInWith(main.page, world.url, PERSON.username, PERSON.password);
  await main.page.getByRole("heading", { name: "Sessions" }).waitFor();
});

after(async () => {
  await browser?.close();
  if (world) await stopPsyche(world);
});

const open = (section) => main.page.goto(`${world.url}#/admin/${section}`);
const person = async (username) =>
  (await admin.call("GET", "/users")).items.find((user) => user.username === username);
/** A sign-in that fails, from an address. */
const fail = (name, from = "203.0.113.50") =>
  new Caller(world.url, { "X-Forwarded-For": from }).signIn(name, "not the right password").catch((no) => no);

test("a user is made, and sets a password with the link that is handed over", async () => {
  const { page } = main;
  await page.getByLabel(/^Account/).click();
  await page.getByRole("link", { name: "Administration" }).click();
  await page.getByRole("button", { name: "New user" }).click();
  const dialog = page.getByRole("dialog");
  // Typed, not filled in: the first field must have the focus by itself.
  await page.keyboard.type(BEN.username);
  await dialog.getByLabel("Email").fill("ben@example.org");
  await dialog.getByLabel("Role").selectOption("observer");
  assert.deepEqual(await violations(page), []);
  await dialog.getByRole("button", { name: "Make the account" }).click();
  await dialog.getByText("Hand this link to ben.").waitFor();
  assert.deepEqual(await violations(page), []);
  const link = await dialog.locator(".link").innerText();
  assert.ok(link.startsWith(`${world.url}#reset=`), link);
  await dialog.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "ben", exact: false }).waitFor();

  const theirs = await openPage(browser);
  await theirs.page.goto(link);
  await theirs.page.getByLabel("New password").fill(BEN.password);
  await theirs.page.getByRole("button", { name: "Set the password" }).click();
  await theirs.page.getByRole("heading", { name: "Password set" }).waitFor();
  await signInWith(theirs.page, world.url, BEN.username, BEN.password);
  await theirs.page.getByRole("heading", { name: "Sessions" }).waitFor();
  assert.deepEqual(theirs.complaints, []);
  await theirs.context.close();
});

test("a name that is taken is said at its field", async () => {
  const { page, quietly } = main;
  await page.getByRole("button", { name: "New user" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("User name").fill("a");
  await dialog.getByLabel("Email").fill("ben@example.org");
  // What the name must be is said before, and nothing is asked of the server until it is.
  await dialog.getByText("2 to 64 letters, digits or . - _ @, no spaces.").waitFor();
  assert.equal(await dialog.getByLabel("User name").getAttribute("aria-invalid"), "true");
  assert.equal(await dialog.getByRole("button", { name: "Make the account" }).isDisabled(), true);
  await quietly(async () => {
    await dialog.getByLabel("User name").fill("BEN");
    await dialog.getByRole("button", { name: "Make the account" }).click();
    await dialog.getByRole("alert").waitFor();
  });
  await page.keyboard.press("Escape");
});

test("users are searched", async () => {
  const { page } = main;
  await page.keyboard.press("/");
  await page.keyboard.type("example.org");
  assert.equal(await page.locator("tbody tr").count(), 2);
  await page.getByLabel("Search users").fill("ben@");
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
  await page.getByLabel("Search users").fill("nobody is called this");
  await page.getByText("Nobody matches").waitFor();
  await page.getByRole("button", { name: "Clear the search" }).click();
});

test("a change of role shows what it gives before it is made, and acts at once", async () => {
  const { page } = main;
  await page.locator("button.name", { hasText: "ben" }).click();
  const drawer = page.getByRole("dialog");
  await drawer.getByLabel("Role").selectOption("researcher");
  await drawer.getByText("Gained").waitFor();
  await drawer.getByText("Make sessions").waitFor();
  assert.equal(await drawer.getByText("Lost").count(), 0);
  assert.match(await drawer.locator(".preview").innerText(), /session:create/);
  assert.equal((await person("ben")).role, "observer", "looking changes nothing");
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}role-preview.png` });
  await drawer.getByRole("button", { name: "Make ben a researcher" }).click();
  await drawer.getByText("Changed.").waitFor();
  assert.equal((await person("ben")).role, "researcher");
  await page.keyboard.press("Escape");
  await page.locator("tbody tr", { hasText: "ben" }).getByText("researcher").waitFor();
});

test("the last administrator stays one, and it is said where it was tried", async () => {
  const { page, quietly } = main;
  await page.locator("button.name", { hasText: "mira" }).click();
  const drawer = page.getByRole("dialog");
  await quietly(async () => {
    await drawer.getByLabel("Role").selectOption("observer");
    await drawer.getByText("Lost").waitFor();
    await drawer.getByRole("button", { name: "Make mira an observer" }).click();
    await drawer.getByText(/The last active admin/).waitFor();
    await drawer.getByRole("button", { name: "Leave it" }).click();
    await drawer.getByRole("button", { name: "Disable" }).click();
    await drawer.getByText("The status was not changed.").waitFor();
    await drawer.getByRole("button", { name: "Erase the account…" }).click();
    await drawer.getByLabel("Type mira to go on").fill("mira");
    await drawer.getByRole("button", { name: "Erase for good" }).click();
    await drawer.getByText("The account was not erased.").waitFor();
    assert.deepEqual(await violations(page), []);
  });
  await page.keyboard.press("Escape");
  assert.equal((await person("mira")).role, "admin");
});

test("disabled is signed out and cannot sign in; enabled again can; a lockout is lifted; a reset link is made", async () => {
  const { page } = main;
  const theirs = await openPage(browser);
  await signInWith(theirs.page, world.url, BEN.username, BEN.password);
  await theirs.page.getByRole("heading", { name: "Sessions" }).waitFor();
  await page.locator("button.name", { hasText: "ben" }).click();
  const drawer = page.getByRole("dialog");
  await drawer.getByRole("button", { name: "Disable" }).click();
  await drawer.getByRole("button", { name: "Enable" }).waitFor();
  await theirs.quietly(async () => {
    await theirs.page.goto(`${world.url}#/account/devices`);
    await theirs.page.getByText("Your sign-in ended.").waitFor();
    await theirs.page.getByLabel("User name").fill(BEN.username);
    await theirs.page.getByLabel("Password").fill(BEN.password);
    await theirs.page.getByRole("button", { name: "Sign in" }).click();
    await theirs.page.getByText("User name or password is not right.").waitFor();
  });
  await drawer.getByRole("button", { name: "Enable" }).click();
  await drawer.getByRole("button", { name: "Disable" }).waitFor();

  const from = "203.0.113.77";
  // Forgiven is what was tried from where they have signed in before.
  await new Caller(world.url, { "X-Forwarded-For": from }).signIn(BEN.username, BEN.password);
  for (let attempt = 0; attempt < 5; attempt += 1) await fail("ben", from);
  const locked = () => new Caller(world.url, { "X-Forwarded-For": from }).signIn(BEN.username, BEN.password);
  await assert.rejects(locked(), { status: 429 });
  await drawer.getByRole("button", { name: "Lift a lockout" }).click();
  await drawer.getByText("Forgiven, wherever they have signed in from before.").waitFor();
  await locked();

  await drawer.getByRole("button", { name: "Make a reset link" }).click();
  await drawer.getByText("Hand this link to ben.").waitFor();
  await page.keyboard.press("Escape");
  await theirs.context.close();
});

test("somebody is erased after their name was typed", async () => {
  const { page } = main;
  await newPerson(admin, "gone", "observer", "nothing stays as it was");
  await page.reload();
  await page.locator("button.name", { hasText: "gone" }).click();
  const drawer = page.getByRole("dialog");
  await drawer.getByRole("button", { name: "Erase the account…" }).click();
  const erase = drawer.getByRole("button", { name: "Erase for good" });
  assert.equal(await erase.isDisabled(), true);
  await drawer.getByLabel("Type gone to go on").fill("gone");
  await erase.click();
  await drawer.waitFor({ state: "detached" });
  await page.locator("button.name", { hasText: "gone" }).waitFor({ state: "detached" });
  assert.equal(await person("gone"), undefined);
});

test("the page of roles tells what changes when", async () => {
  const { page } = main;
  await open("roles");
  await page.getByLabel("From").selectOption("admin");
  await page.getByLabel("To", { exact: true }).selectOption("observer");
  const preview = page.locator(".preview");
  await preview.getByText("Lost").waitFor();
  assert.match(await preview.innerText(), /system:admin/);
  assert.equal(await preview.getByText("Gained").count(), 0);
});

test("an address that guesses passwords is blocked, listed and let in again", async () => {
  const { page } = main;
  const from = "198.51.100.9";
  await open("blocked");
  await page.getByText("No address is blocked").waitFor();
  assert.deepEqual(await violations(page), []);
  for (let attempt = 0; attempt < 25; attempt += 1) await fail(`guess-${attempt}`, from);
  await page.getByText(from).waitFor({ timeout: 15_000 });
  assert.deepEqual(await violations(page), []);
  await page.screenshot({ path: `${PICTURES}blocked.png` });
  await page.getByRole("button", { name: `Lift the block of ${from}…` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Lift the block" }).click();
  await page.getByText("No address is blocked").waitFor();
});

test("alerts come as they happen", async () => {
  const { page } = main;
  await open("alerts");
  await page.getByText("Live").waitFor();
  await page.locator("main li").first().waitFor();
  const before = await page.locator("main li").count();
  assert.ok(before > 0, "the blocked address is no alert");
  const from = "198.51.100.10";
  for (let attempt = 0; attempt < 25; attempt += 1) await fail(`guess-${attempt}`, from);
  await page.waitForFunction((count) => document.querySelectorAll("main li").length > count, before);
  await page.getByText(from).waitFor();
  assert.deepEqual(await violations(page), []);
});

test("the audit: filtered by type and person, kept in the URL, read page by page, with new rows live", async () => {
  const { page } = main;
  await open("audit");
  await page.getByText("chain whole").waitFor();
  await page.getByText("Live").waitFor();
  const rows = page.locator("tbody tr");
  await rows.first().waitFor();
  const before = await rows.count();
  await page.getByRole("button", { name: "Show older" }).click();
  await page.waitForFunction((count) => document.querySelectorAll("tbody tr").length > count, before);

  await page.getByLabel("Type").selectOption("data.erased");
  await page.waitForURL(/type=data\.erased/u);
  await page.waitForFunction(
    () =>
      document.querySelector("td.event") !== null &&
      [...document.querySelectorAll("td.event")].every((cell) => cell.textContent === "data.erased"),
  );
  assert.equal(await rows.count(), 1);
  await page.locator("button.when").click();
  await page.getByText("Request").waitFor();
  assert.deepEqual(await violations(page), []);
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll("td.event").length === 1);
  await page.getByLabel("Type").selectOption("authz.permission.changed");
  await page.waitForFunction(
    () => document.querySelector("td.event")?.textContent === "authz.permission.changed",
  );
  await page.getByLabel("Severity").selectOption("critical");
  await page.getByText("Nothing matches").waitFor();
  await page.getByRole("button", { name: "Clear the filters" }).click();
  await page.waitForFunction(() => document.querySelectorAll("td.event").length > 1);

  await page.getByLabel("Type").selectOption("auth.login.failure");
  await page.waitForFunction(
    () =>
      document.querySelector("td.event") !== null &&
      [...document.querySelectorAll("td.event")].every((cell) => cell.textContent === "auth.login.failure"),
  );
  await page.getByText("Live").waitFor();
  const newest = () => page.locator("td.time time").first().getAttribute("datetime");
  const last = await newest();
  await fail("somebody", "203.0.113.99");
  await page.getByText("203.0.113.99").first().waitFor();
  assert.notEqual(await newest(), last);

  await page.getByLabel("New rows appear by themselves").uncheck();
  await fail("somebody", "203.0.113.98");
  await page.getByRole("button", { name: /1 new: show/ }).click();
  await page.getByText("203.0.113.98").first().waitFor();

  const { user_id } = await person("ben");
  await page.goto(`${world.url}#/admin/audit?user=${user_id}`);
  await page.waitForFunction(
    () =>
      document.querySelector("td.who") !== null &&
      [...document.querySelectorAll("td.who")].every((cell) => cell.textContent.trim() === "ben"),
  );
  assert.ok((await page.locator("td.who").count()) > 0);
});

test("registration is opened and closed; the jobs of housekeeping are listed", async () => {
  const { page } = main;
  await open("settings");
  await page.getByText("Anybody who reaches this server").waitFor();
  await page.getByRole("radio", { name: /^Open/ }).check();
  await page.getByText("Registration is open.").waitFor();
  assert.equal((await admin.call("GET", "/setup")).registration, "open");
  await page.getByRole("radio", { name: /^Closed/ }).check();
  await page.getByText("Registration is closed.").waitFor();
  assert.equal((await admin.call("GET", "/setup")).registration, "closed");
});

test("budgets are set, of one person and of everybody", async () => {
  const { page } = main;
  await open("settings");
  const everybody = page.locator("section", { hasText: "Budget of everybody" });
  await everybody.getByLabel("Tokens").fill("-5");
  await everybody.getByRole("button", { name: "Save the budget" }).click();
  await everybody.getByText("An amount is a number", { exact: false }).waitFor();
  await everybody.getByLabel("Tokens").fill("1000000");
  await everybody.getByRole("button", { name: "Save the budget" }).click();
  await everybody.getByText("Saved.").waitFor();
  assert.deepEqual((await admin.call("GET", "/system/configuration")).budget, { tokens: 1000000 });

  await open("users");
  await page.locator("button.name", { hasText: "ben" }).click();
  const drawer = page.getByRole("dialog");
  await drawer.getByLabel("A budget of their own").check();
  await drawer.getByLabel("Money").fill("2.5");
  await drawer.getByRole("button", { name: "Save the budget" }).click();
  await drawer.getByText("Saved.").waitFor();
  assert.deepEqual((await person("ben")).budget, { cost: 2.5 });
  await page.keyboard.press("Escape");
});

test("a model is added, changed and removed while the server runs, and its key is not shown again", async () => {
  const { page, quietly } = main;
  await open("settings");
  await page.getByRole("button", { name: "Add a model" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Id").fill("cloud");
  await dialog.getByLabel("Address of the server").fill("http://10.0.0.1/v1");
  await dialog.getByLabel("Model, as the server calls it").fill("small");
  await dialog.getByLabel("Key").fill("sk-canary");
  await quietly(async () => {
    await dialog.getByRole("button", { name: "Save the model" }).click();
    await dialog.getByText("provider_hosts", { exact: false }).waitFor();
  });
  await dialog.getByLabel("Address of the server").fill("https://models.example/v1");
  await dialog.getByRole("button", { name: "Save the model" }).click();
  const row = page.locator("tr", { hasText: "cloud" });
  await row.getByText("kept").waitFor();
  assert.deepEqual(await violations(page), []);
  assert.ok((await admin.call("GET", "/models")).items.some((model) => model.id === "cloud"));

  await row.getByRole("button", { name: "Change" }).click();
  assert.equal(await dialog.getByLabel("Key").inputValue(), "");
  await dialog.getByLabel("Address of the server").fill("https://other.example/v1");
  await dialog.getByText("is removed with it", { exact: false }).waitFor();
  await dialog.getByRole("button", { name: "Save the model" }).click();
  await row.getByText("none").waitFor();
  assert.ok(!(await page.content()).includes("sk-canary"));
  await row.getByRole("button", { name: "Remove cloud…" }).click();
  await row.getByRole("button", { name: "Remove cloud", exact: true }).click();
  await row.waitFor({ state: "detached" });
});

test("whoever is no administrator is told so, and has no way there", async () => {
  const { page, context, complaints } = await openPage(browser);
  await signInWith(page, world.url, BEN.username, BEN.password);
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  await page.getByLabel(/^Account/).click();
  assert.equal(await page.getByRole("link", { name: "Administration" }).count(), 0);
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Find a command" }).waitFor();
  await page.keyboard.type("administration");
  await page.getByText("No command has this name.").waitFor();
  await page.keyboard.press("Escape");
  await page.goto(`${world.url}#/admin/users`);
  await page.getByText("Not for your role").waitFor();
  assert.deepEqual(await violations(page), []);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a session is shared by its owner, seen by whom it is shared with, and taken back", async () => {
  await newPerson(admin, NOOR.username, "observer", NOOR.password);
  const ben = await openPage(browser);
  await signInWith(ben.page, world.url, BEN.username, BEN.password);
  await ben.page.getByRole("button", { name: "New session" }).click();
  await ben.page.keyboard.type("The bells");
  await ben.page.getByLabel("Who may take part").selectOption("shared");
  await ben.page.getByRole("button", { name: "Create", exact: true }).click();
  await ben.page.getByRole("button", { name: "Share…" }).click();
  const dialog = ben.page.getByRole("dialog");
  await dialog.getByText("Nobody else is in this session yet.").waitFor();
  assert.match(await dialog.locator("li").innerText(), /ben, you\s+owner/u);
  assert.deepEqual(await violations(ben.page), []);
  await ben.quietly(async () => {
    for (const nobody of ["noo", "01890000-0000-7000-8000-000000000000"]) {
      await dialog.getByLabel("User name").fill(nobody);
      await dialog.getByRole("button", { name: "Let in" }).click();
      await dialog.getByText("Nobody has this name.", { exact: false }).waitFor();
    }
  });
  await dialog.getByLabel("User name").fill("NOOR");
  await dialog.getByRole("button", { name: "Let in" }).click();
  await dialog.getByText("noor").waitFor();

  const theirs = await openPage(browser);
  await signInWith(theirs.page, world.url, NOOR.username, NOOR.password);
  await theirs.page.getByRole("link", { name: "The bells" }).click();
  await theirs.page.getByRole("button", { name: "People…" }).click();
  await theirs.page.getByText("The owner or an administrator lets people in and out.").waitFor();
  assert.equal(await theirs.page.getByRole("button", { name: "Let in" }).count(), 0);
  await theirs.page.keyboard.press("Escape");

  await dialog.getByLabel("What noor may do").selectOption("participant");
  await ben.page.waitForFunction(() => document.querySelector("dialog li select")?.value === "participant");
  await dialog.getByRole("button", { name: "Take noor out" }).click();
  await dialog.getByText("Nobody else is in this session yet.").waitFor();
  await theirs.quietly(async () => {
    await theirs.page
      .getByText("You may not follow this session any longer.")
      .or(theirs.page.getByText("This session is gone"))
      .waitFor();
  });
  assert.deepEqual(ben.complaints, []);
  await ben.context.close();
  await theirs.context.close();
});

test("an administrator lets people in by name", async () => {
  const { page } = main;
  const { session_id } = await admin.call("POST", "/sessions", { session_type: "shared", name: "By name" });
  await page.goto(`${world.url}#/s/${session_id}/conversation`);
  await page.getByRole("button", { name: "Share…" }).waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Find a command" }).waitFor();
  await page.keyboard.type("share");
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Share this session" });
  await dialog.getByLabel("User name").fill("noor");
  await dialog.getByLabel("As").selectOption("participant");
  await dialog.getByRole("button", { name: "Let in" }).click();
  await dialog.getByLabel("What noor may do").waitFor();
  assert.equal(await dialog.getByLabel("What noor may do").inputValue(), "participant");
  await page.keyboard.press("Escape");
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
      await open(section);
      await page.locator("main h1").waitFor();
      await settled(page);
      const name = `admin-${section}-${colorScheme}-${size.width}`;
      await page.screenshot({ path: `${PICTURES}${name}.png` });
      assert.deepEqual(await violations(page), [], name);
      assert.equal(await scrollsSideways(page), false, `${name} scrolls sideways`);
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await quietly(async () => {
    const away = (route) => route.abort();
    await page.route(/api\/v1\/(?:users|audit|security|system)/u, away);
    for (const section of SECTIONS.filter((name) => name !== "roles")) {
      await open(section);
      await page
        .getByText(/could not be/u)
        .first()
        .waitFor();
      await page.getByRole("button", { name: "Retry" }).first().waitFor();
      assert.deepEqual(await violations(page), [], `${section} failing`);
    }
    await page.unroute(/api\/v1\/(?:users|audit|security|system)/u, away);
  });
});

test("nothing complained", () => {
  assert.deepEqual(main.complaints, []);
});
