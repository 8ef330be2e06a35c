// Fills the places in the texts of an entry: {name} and {name:argument}, as entry.ts lists them.

export type Fill = (text: string) => string;

/** What stands at a place; undefined for a place that nobody knows. */
export type PlaceholderLookup = (name: string, argument: string | null) => string | number | undefined;

/** Errors: a place without a value, which is a mistake in an entry. */
export function filler(value: PlaceholderLookup): Fill {
  return (text) =>
    text.replace(/\{(\w+)(?::([\w-]+))?\}/g, (place, name: string, argument?: string) => {
      const found = value(name, argument ?? null);
      if (found === undefined) throw new Error(`Nothing is known to stand at "${place}" in "${text}"`);
      return String(found);
    });
}
