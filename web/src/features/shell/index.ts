export { default as SessionShell } from "./SessionShell.svelte";
