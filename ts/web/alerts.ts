// How alerts are sorted and said to people. Pure: what is wrong is the server's to judge (ts/serve/alerts.ts).

import type { Alert } from "./api.ts";

export type Severity = Alert["severity"];

export const SEVERITIES = ["critical", "warning", "info"] as const satisfies readonly Severity[];

export const SEVERITY_TEXT: Readonly<Record<Severity, string>> = {
  critical: "Critical",
  warning: "Warning",
  info: "To know",
};

/** The worst first, and newest first among equals, as they came. */
export const bySeverity = (alerts: readonly Alert[]): Alert[] =>
  alerts.toSorted((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));

/** Who an alert is about: what measures, or what computes. */
export type About = "stations" | "machinery";

export const aboutOf = ({ subject, kind }: Alert): About =>
  subject.kind === "station" || kind === "network_silent" || kind === "rejects" ? "stations" : "machinery";

/** `1 critical, 2 warnings, 3 to know`; null where there is none. */
export function countsText(alerts: readonly Alert[]): string | null {
  const parts = SEVERITIES.flatMap((severity) => {
    const count = alerts.filter((one) => one.severity === severity).length;
    if (count === 0) return [];
    const word =
      severity === "info" ? "to know" : severity === "warning" && count > 1 ? "warnings" : severity;
    return [`${count} ${word}`];
  });
  return parts.length === 0 ? null : parts.join(", ");
}

export interface Words {
  readonly kind: "text" | "command" | "address";
  readonly text: string;
}

/** What to do, in parts: `Run: millrace up` has a command, `GET /health` an address of this server. */
export function wordsOf(next: string): Words[] {
  const words: Words[] = [];
  const found = /\b(?:Run: (?<command>[^,;]+?)(?=[,;]|\. |\.?$)|GET (?<address>\/[^\s,;]*[^\s,;.]))/g;
  let end = 0;
  for (const match of next.matchAll(found)) {
    const { command, address } = match.groups ?? {};
    const before = `${next.slice(end, match.index)}${command === undefined ? "" : "Run "}`;
    if (before !== "") words.push({ kind: "text", text: before });
    if (command !== undefined) words.push({ kind: "command", text: command });
    else if (address !== undefined) words.push({ kind: "address", text: address });
    end = match.index + match[0].length;
  }
  if (end < next.length) words.push({ kind: "text", text: next.slice(end) });
  return words;
}
