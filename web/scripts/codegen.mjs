// Writes src/lib/api/generated.ts from the committed openapi.json: its schemas only, REST objects and socket frames.
import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const source = new URL("../../openapi.json", import.meta.url);
const target = new URL("../src/lib/api/generated.ts", import.meta.url);
const document = JSON.parse(await readFile(source, "utf8"));
const types = astToString(await openapiTS({ ...document, paths: {} }));
await writeFile(target, `// Written by \`npm run codegen\` from openapi.json. Do not edit.\n${types}`);
