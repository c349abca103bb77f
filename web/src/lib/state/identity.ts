/** The calls about people, for the pages that are loaded later. */
import { Identity } from "$lib/api/identity";
import { client } from "./app";

export const identity = new Identity(client);
