// Who is told of anomalies: the rules of what a target may be. They bring a job, and nothing of the contract.

import type { AlertTarget } from "../../pipelines/define.ts";
import { type Check, distinct } from "../check.ts";
import { anomalySymbols } from "./forecast.ts";

const KINDS: readonly string[] = ["slack", "json"];

/** `event` is the domain's word for a true happening. */
export function checkAlerts({ need }: Check, targets: readonly AlertTarget[], event: string): void {
  const names = targets.map(({ name }) => name);
  need(targets.length > 0 && distinct(names), "alerts", "at least one target, every name once", names);
  for (const { name, kind, url, severity, types } of targets) {
    const place = `alerts.${name}`;
    need(
      /^[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(name),
      place,
      "a name in lower-case letters, digits and hyphens, at most 32, a letter first and no hyphen last",
      name,
    );
    need(KINDS.includes(kind), `${place}.kind`, `one of ${KINDS.join(", ")}`, kind);
    // What is written out instead would be the secret itself, and a message must not hold it.
    need(
      /^secret:./.test(url),
      `${place}.url`,
      '"secret:NAME", looked up in the file of MILLRACE_SECRETS',
      "a literal",
    );
    need(severity >= 0 && severity <= 1, `${place}.severity`, "a score from 0 to 1", severity);
    const known = anomalySymbols(event);
    need(
      types === undefined || (types.length > 0 && types.every((type) => known.includes(type))),
      `${place}.types`,
      `some of ${known.join(", ")}`,
      types,
    );
  }
}
