const PATIENCE_MS = 2000;
const LOOK_EVERY_MS = 50;

/** A change is stored when the call answers, and in force when its event has come back: waits for that, a while. */
export async function cameBack(isThere: () => boolean): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!isThere() && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
