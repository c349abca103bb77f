import type { Model } from "$lib/api/types";

/** A model in a list: its id is what the configuration calls it, its name what it is; two may have one name. */
export function modelLabel({ id, name, status }: Pick<Model, "id" | "name" | "status">): string {
  const label = name === "" || name === id ? id : `${id}: ${name}`;
  return status === "ready" ? label : `${label} (not ready)`;
}
