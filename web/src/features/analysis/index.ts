export { default as AnalysisTab } from "./AnalysisTab.svelte";
