export { default as SettingsTab } from "./SettingsTab.svelte";
