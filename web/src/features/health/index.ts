export { default as HealthTab } from "./HealthTab.svelte";
