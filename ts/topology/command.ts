// What every substrate makes of an entry in the same way: a Java program's arguments, a properties file's lines.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Configuration, Java, Service } from "./entry.ts";
import type { Fill } from "./fill.ts";
import { SMALL_JVM } from "./services.ts";

/** `jar` is that of an artifact which is run as a whole; null for others. */
export function javaArgs(
  { options, main }: Java,
  { memory: { initial_mib, heap_mib } }: Pick<Service, "memory">,
  fill: Fill,
  jar: string | null,
): string[] {
  return [
    ...SMALL_JVM,
    ...(initial_mib === undefined ? [] : [`-Xms${initial_mib}m`]),
    ...(heap_mib === undefined ? [] : [`-Xmx${heap_mib}m`]),
    ...options.map(fill),
    ...(main === undefined ? ["-jar", jar ?? ""] : ["-cp", main.classpath.map(fill).join(":"), main.name]),
  ];
}

/** Its lines in full, for a properties file. */
export function configurationText(root: string, { base, properties }: Configuration, fill: Fill): string {
  return [
    readFileSync(join(root, base), "utf8"),
    ...Object.entries(properties).map(([name, value]) => `${name}=${fill(value)}`),
    "",
  ].join("\n");
}
