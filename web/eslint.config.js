import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

const barrel = {
  name: "@lucide/svelte",
  message: "Import icons one by one, from @lucide/svelte/icons/<name>: the barrel costs 17 s a build.",
};
const insides = {
  regex: "^(\\$features/[^/]+/.+|\\.\\./[a-z]+/(?!index$).+)$",
  message: "A feature is entered through its index.ts.",
};
const features = { regex: "features", message: "ui and lib never import features." };

export default ts.config(
  { ignores: ["dist", "node_modules", "test-results", "src/lib/api/generated.ts"] },
  js.configs.recommended,
  { files: ["src/**/*.ts", "src/**/*.svelte"], extends: [...ts.configs.strictTypeChecked] },
  // After the TypeScript rules, because these name the parser of .svelte files.
  ...svelte.configs.recommended,
  {
    files: ["src/**/*.ts", "src/**/*.svelte"],
    languageOptions: {
      globals: globals.browser,
      parserOptions: {
        projectService: true,
        extraFileExtensions: [".svelte"],
        parser: ts.parser,
        svelteConfig,
      },
    },
    rules: {
      "no-undef": "off",
      "prefer-const": "off",
      "svelte/prefer-const": "error",
      // Words of people and models are text nodes, everywhere.
      "svelte/no-at-html-tags": "error",
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "srcdoc"].map((property) => ({
          property,
          message: "It parses HTML: write text nodes.",
        })),
      ],
      // Maps, sets and URLs are built as plain values inside derivations, never mutated state.
      "svelte/prefer-svelte-reactivity": "off",
      "@typescript-eslint/no-meaningless-void-operator": "off",
      // Every link is a hash link; there is no router to resolve a path.
      "svelte/no-navigation-without-resolve": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-unnecessary-condition": ["error", { allowConstantLoopConditions: true }],
      "no-restricted-imports": ["error", { paths: [barrel] }],
    },
  },
  {
    files: ["src/features/**"],
    rules: { "no-restricted-imports": ["error", { paths: [barrel], patterns: [insides] }] },
  },
  {
    files: ["src/ui/**", "src/lib/**"],
    rules: { "no-restricted-imports": ["error", { paths: [barrel], patterns: [features] }] },
  },
  {
    files: ["**/*.mjs", "*.js", "*.ts", "scripts/**", "e2e/**"],
    languageOptions: { globals: { ...globals.node, ...globals.browser } },
  },
  { files: ["*.ts"], extends: [...ts.configs.strict] },
  { files: ["public/**"], languageOptions: { sourceType: "script", globals: globals.browser } },
);
