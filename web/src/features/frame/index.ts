export { default as PageFrame } from "./PageFrame.svelte";
