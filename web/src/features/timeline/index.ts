export { default as ForkDialog } from "./ForkDialog.svelte";
export { default as Timeline } from "./Timeline.svelte";
