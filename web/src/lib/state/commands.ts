/** Named actions: the one list behind shortcuts, the key sheet and the palette. */
export interface Action {
  id: string;
  title: string;
  /** As `KeyboardEvent.key`, or with `mod+` for Ctrl or ⌘. */
  keys?: string[];
  /** Why it cannot be done now; undefined when it can. */
  unavailable?: () => string | undefined;
  /** Not even listed for this person. */
  hidden?: () => boolean;
  run: () => void;
}

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return (
    target.isContentEditable ||
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && target.type !== "range" && target.type !== "checkbox")
  );
}

/** The action a key press asks for. Off while typing, and where the focused control uses the key itself. */
export function actionFor(event: KeyboardEvent, actions: readonly Action[]): Action | undefined {
  const mod = event.ctrlKey || event.metaKey;
  if (event.altKey || event.defaultPrevented) return undefined;
  const key = mod ? `mod+${event.key.toLowerCase()}` : event.key;
  if (!mod && isTyping(event.target)) return undefined;
  if (usesKey(event.target, event.key)) return undefined;
  return actions.find((action) => action.keys?.includes(key) === true);
}

function usesKey(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof Element)) return false;
  const pressable = target.closest("button, a, summary, [role=tab], [role=menuitem]") !== null;
  if (pressable && (key === " " || key === "Enter")) return true;
  return target instanceof HTMLInputElement && target.type === "range" && key.startsWith("Arrow");
}
