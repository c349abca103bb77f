/** The one sign-in and the one API client of the page. */
import { SignIn } from "$lib/api/auth.svelte";
import { AnalysisApi } from "$lib/api/analysis";
import { Client } from "$lib/api/client";
import { Api } from "$lib/api/endpoints";

export const signIn = new SignIn();
export const client = new Client(signIn);
export const api = new Api(client);
export const analyses = new AnalysisApi(client);
