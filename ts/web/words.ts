// How names of a contract, units and numbers are said to people. Pure.

/** `wind_speed` → `Wind speed`. */
export function titleOf(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
