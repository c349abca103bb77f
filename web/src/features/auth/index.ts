export { default as ConsentText } from "./ConsentText.svelte";
export { default as FirstRun } from "./FirstRun.svelte";
export { default as RegisterPage } from "./RegisterPage.svelte";
export { default as ResetPage } from "./ResetPage.svelte";
export { default as SignInPage } from "./SignInPage.svelte";
export { default as ThemeButton } from "./ThemeButton.svelte";
export { default as UserMenu } from "./UserMenu.svelte";
