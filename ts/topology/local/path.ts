// How a path is written where a URL is wanted, and which paths can stand in all the places that engines and jobs have for them.

import { pathToFileURL } from "node:url";

/** A `file:` URL. A comma is encoded too: lists of URLs are separated by it. */
export function fileUrl(path: string): string {
  return pathToFileURL(path).href.replaceAll(",", "%2C");
}

/**
 * Characters of a path that no engine takes for something else. Left out are `:` (class paths), `,` (lists of folders), `;`
 * (the registry's database), `?*[]{}` (patterns of Spark), `"` (Spark's log of a launch), `\` and `$` (expressions), line
 * ends and other control characters; and `'`, `%` and `=`, which shells, URLs and options read: engines start with them, no
 * job was tried.
 */
const PLAIN = /^[\p{L}\p{M}\p{N} /._\-+@#()&~]$/u;

/** Characters of a path that some engine would misread, each once; empty for a path that all of them take. */
export function oddCharacters(path: string): string[] {
  return [...new Set([...path].filter((character) => !PLAIN.test(character)))];
}
