export { default as GuidePage } from "./GuidePage.svelte";
