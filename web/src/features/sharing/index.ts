export { default as ShareDialog } from "./ShareDialog.svelte";
