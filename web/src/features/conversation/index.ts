export { default as ConversationTab } from "./ConversationTab.svelte";
export { default as Inspector } from "./Inspector.svelte";
