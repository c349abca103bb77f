export { default as VisualizationsTab } from "./VisualizationsTab.svelte";
