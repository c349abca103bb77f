/** Markdown as blocks of data, at build time: the page renders text nodes and never parses HTML. */
import { marked, type Token, type Tokens } from "marked";
import type { Plugin } from "vite";

export type Inline =
  | string
  | { kind: "strong" | "em" | "del"; parts: Inline[] }
  | { kind: "code"; text: string }
  | { kind: "link"; href: string; parts: Inline[] }
  | { kind: "break" };

export type Block =
  | { kind: "heading"; level: number; id: string; parts: Inline[] }
  | { kind: "paragraph"; parts: Inline[] }
  | { kind: "text"; parts: Inline[] }
  | { kind: "code"; text: string }
  | { kind: "quote"; blocks: Block[] }
  | { kind: "list"; ordered: boolean; items: Block[][] }
  | { kind: "table"; head: Inline[][]; rows: Inline[][][]; numbers: boolean[] }
  | { kind: "rule" };

/** As GitHub names headings, so that links work in both places. */
export function anchorOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s+/gu, "-");
}

function inline(tokens: Token[] | undefined): Inline[] {
  return (tokens ?? []).flatMap((token): Inline[] => {
    switch (token.type) {
      case "strong":
      case "em":
      case "del":
        return [{ kind: token.type, parts: inline(token.tokens) }];
      case "codespan":
        return [{ kind: "code", text: (token as Tokens.Codespan).text }];
      case "link":
        return [{ kind: "link", href: (token as Tokens.Link).href, parts: inline(token.tokens) }];
      case "br":
        return [{ kind: "break" }];
      case "escape":
      case "text":
        return "tokens" in token && token.tokens !== undefined
          ? inline(token.tokens)
          : [plain((token as Tokens.Text).text)];
      // HTML is shown as it is written; pictures by their words.
      default:
        return [plain("text" in token ? String(token.text) : token.raw)];
    }
  });
}

/** The lexer leaves entities as they are written. */
function plain(text: string): string {
  const named: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", nbsp: "\u00a0" };
  return text.replace(/&(#39|\w+);/gu, (whole, name: string) => named[name] ?? whole);
}

export function blocksOf(source: string): Block[] {
  return blocks(marked.lexer(source));
}

function blocks(tokens: Token[]): Block[] {
  return tokens.flatMap((token): Block[] => {
    switch (token.type) {
      case "heading": {
        const { depth, text, tokens: inner } = token as Tokens.Heading;
        return [
          { kind: "heading", level: depth, id: anchorOf(text.replace(/`/gu, "")), parts: inline(inner) },
        ];
      }
      case "paragraph":
      case "text":
        return [{ kind: token.type, parts: inline(token.tokens ?? [token]) }];
      case "code":
        return [{ kind: "code", text: (token as Tokens.Code).text }];
      case "blockquote":
        return [{ kind: "quote", blocks: blocks(token.tokens ?? []) }];
      case "list": {
        const { ordered, items } = token as Tokens.List;
        return [{ kind: "list", ordered, items: items.map((item) => blocks(item.tokens)) }];
      }
      case "table": {
        const { header, rows, align } = token as Tokens.Table;
        return [
          {
            kind: "table",
            head: header.map((cell) => inline(cell.tokens)),
            rows: rows.map((row) => row.map((cell) => inline(cell.tokens))),
            numbers: align.map((side) => side === "right"),
          },
        ];
      }
      case "hr":
        return [{ kind: "rule" }];
      case "space":
      case "def":
        return [];
      default:
        return [{ kind: "paragraph", parts: [plain(token.raw)] }];
    }
  });
}

/** `x.md` is its blocks, `x.md?title` its first heading alone. */
export function guide(): Plugin {
  return {
    name: "guide",
    enforce: "pre",
    transform(source, id) {
      const [path = "", query] = id.split("?");
      if (!path.endsWith(".md")) return null;
      const value = query === "title" ? (/^# (.+)$/mu.exec(source)?.[1] ?? "") : blocksOf(source);
      return { code: `export default ${JSON.stringify(value)};`, map: null };
    },
  };
}
