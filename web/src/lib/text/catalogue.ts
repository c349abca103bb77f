/**
 * Texts with typed keys, parameters and plurals. A text is a string; `{name}` stands for a parameter, and
 * `{n|# message|# messages}` for the form of the plural that fits the number `n`, with `#` for the number itself,
 * the forms in the order of the language's categories (English: one, other).
 *
 * A text without parameters is read as a string, one with parameters is called with exactly these:
 *
 *     const t = catalogue({ title: "Agents", since: "Open since round {round}", heard: "{n|# message|# messages}" });
 *     t.title; t.since({ round: 4 }); t.heard({ n: 1 });
 *
 * Texts of another language must fit `Shape<typeof english>`: the same keys with the same parameters.
 */
export interface Texts {
  readonly [key: string]: string | Texts;
}

/** What stands between braces, one by one. */
type Slots<S extends string> = S extends `${string}{${infer Slot}}${infer Rest}` ? Slot | Slots<Rest> : never;
type Counted<S extends string> =
  Slots<S> extends infer Slot ? (Slot extends `${infer N}|${string}` ? N : never) : never;
type Named<S extends string> = Exclude<Slots<S>, `${string}|${string}` | Counted<S>>;

export type Values<S extends string> = { [K in Named<S>]: string | number } & { [K in Counted<S>]: number };

export type Catalogue<T extends Texts> = {
  readonly [K in keyof T]: T[K] extends string
    ? [Slots<T[K]>] extends [never]
      ? string
      : (values: Values<T[K]>) => string
    : T[K] extends Texts
      ? Catalogue<T[K]>
      : never;
};

/** The same keys and parameters, whatever the words. */
export type Shape<C> = {
  readonly [K in keyof C]: C[K] extends string
    ? string
    : C[K] extends (values: infer V) => string
      ? (values: V) => string
      : Shape<C[K]>;
};

const SLOT = /\{([^{}|]+)(?:\|([^{}]+))?\}/gu;

export function catalogue<const T extends Texts>(texts: T, language = "en"): Catalogue<T> {
  const rules = new Intl.PluralRules(language);
  const categories = rules.resolvedOptions().pluralCategories;
  // Years, turns and codes of four digits are read without a gap.
  const numbers = new Intl.NumberFormat(language, { useGrouping: "min2", maximumFractionDigits: 20 });
  const write = (value: string | number) => (typeof value === "number" ? numbers.format(value) : value);
  const ordered = ORDER.filter((category) => categories.includes(category));

  const fill = (text: string) => (values: Record<string, string | number>) =>
    text.replace(SLOT, (_, name: string, forms: string | undefined) => {
      const value = values[name] ?? "";
      if (forms === undefined) return write(value);
      const form = forms.split("|")[ordered.indexOf(rules.select(Number(value)))];
      return (form ?? "").replaceAll("#", write(value));
    });
  const build = (tree: Texts): unknown =>
    Object.fromEntries(
      Object.entries(tree).map(([key, text]) => {
        if (typeof text !== "string") return [key, build(text)];
        return [key, text.includes("{") ? fill(text) : text];
      }),
    );
  return build(texts) as Catalogue<T>;
}

const ORDER: Intl.LDMLPluralRule[] = ["zero", "one", "two", "few", "many", "other"];
