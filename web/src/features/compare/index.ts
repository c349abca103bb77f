export { default as ComparePage } from "./ComparePage.svelte";
