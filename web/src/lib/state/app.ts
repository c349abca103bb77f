/** The one sign-in and the one API client of the page. */
import { SignIn } from "$lib/api/auth.svelte";
import { Client } from "$lib/api/client";
import { Api } from "$lib/api/endpoints";

export const signIn = new SignIn();
export const client = new Client(signIn);
export const api = new Api(client);
