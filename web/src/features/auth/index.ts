export { default as FirstRun } from "./FirstRun.svelte";
export { default as SignInPage } from "./SignInPage.svelte";
export { default as UserMenu } from "./UserMenu.svelte";
export { default as ThemeButton } from "./ThemeButton.svelte";
