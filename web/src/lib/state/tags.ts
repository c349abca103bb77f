/** Tags as somebody types them: separated by commas, with or without `#`, each once. */
export function tagsOf(text: string): string[] {
  const tags = text.split(",").map((tag) => tag.trim().replace(/^#+\s*/u, ""));
  return [...new Set(tags.filter((tag) => tag !== ""))];
}
