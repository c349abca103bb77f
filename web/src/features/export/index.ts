export { default as ExportDialog } from "./ExportDialog.svelte";
export { default as ExportPanel } from "./ExportPanel.svelte";
