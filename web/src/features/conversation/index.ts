export { default as ConversationTab } from "./ConversationTab.svelte";
export { default as InjectPanel } from "./InjectPanel.svelte";
export { default as Inspector } from "./Inspector.svelte";
export { default as NoteDialog } from "./NoteDialog.svelte";
