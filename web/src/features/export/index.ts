export { default as ExportPanel } from "./ExportPanel.svelte";
