// What the rounds of a proof come to, as it is written to docs/proof: counts, recovery times, and what was compared.

import { type ArchiveRound, archiveWrong } from "./archive.ts";
import { type Checked, type KillsRound, killsWrong } from "./kills.ts";
import { type LinesRound, linesWrong } from "./lines.ts";
import { KILL_KINDS, type Kind } from "./schedule.ts";
import { SERVING_KINDS, type ServingRound, servingWrong } from "./serving.ts";
import type { WindowsRound } from "./windows.ts";

export interface Recovery {
  readonly kills: number;
  readonly median_ms: number;
  readonly max_ms: number;
  /** Median processor time of the whole line until then, where every kill measured it. */
  readonly processor_ms?: number;
}

export interface KillsSummary {
  readonly rounds: number;
  readonly seconds: number;
  readonly recovery: Readonly<Partial<Record<Kind, Recovery>>>;
  /** Sums over the rounds. */
  readonly compared: Readonly<Omit<Checked, "first_wrong">>;
  /** Of the archive: committed observations and its rows. */
  readonly archived: { readonly records: number; readonly rows: number };
  /** 0 when all is proved. */
  readonly wrong: number;
  readonly first_wrong: readonly string[];
}

/** Median of a list that is not empty; of two in the middle the mean. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

interface Struck {
  readonly recovery_ms: number;
  readonly processor_ms?: number;
}

/** 0 where nothing was killed. */
function recoveredFrom(kills: readonly Struck[]): Recovery {
  const times = kills.map(({ recovery_ms }) => recovery_ms);
  const processor = kills.flatMap(({ processor_ms }) => processor_ms ?? []);
  const measured = kills.length > 0 && processor.length === kills.length;
  return {
    kills: kills.length,
    median_ms: kills.length === 0 ? 0 : Math.round(median(times)),
    max_ms: Math.max(0, ...times),
    ...(measured && { processor_ms: Math.round(median(processor)) }),
  };
}

/** How long the line took to go on, by kind of kill; a kind that was not killed is not in it. */
function recoveryOf<K extends string>(
  kinds: readonly K[],
  kills: readonly (Struck & { readonly kind: string })[],
): Partial<Record<K, Recovery>> {
  const recovery: Partial<Record<K, Recovery>> = {};
  for (const kind of kinds) {
    const struck = kills.filter((kill) => kill.kind === kind);
    if (struck.length === 0) continue;
    recovery[kind] = recoveredFrom(struck);
  }
  return recovery;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

function recoveryLines(recovery: Readonly<Partial<Record<string, Recovery>>>): string[] {
  return Object.entries(recovery).flatMap(([kind, found]) => {
    if (!found) return [];
    const { kills, median_ms, max_ms, processor_ms } = found;
    const spent = processor_ms === undefined ? "" : `, ${seconds(processor_ms)} of processor time (median)`;
    return `${kind.padEnd(11)}${String(kills).padStart(3)} kills, back after ${seconds(median_ms)} (median), ${seconds(max_ms)} (most)${spent}`;
  });
}

export function killsSummary(rounds: readonly KillsRound[]): KillsSummary {
  const kills = rounds.flatMap((round) => round.kills);
  const compared: Record<string, number> = {};
  for (const { checked } of rounds)
    for (const [name, value] of Object.entries(checked))
      if (typeof value === "number") compared[name] = (compared[name] ?? 0) + value;
  return {
    rounds: rounds.length,
    seconds: rounds.reduce((sum, round) => sum + round.seconds, 0),
    recovery: recoveryOf<Kind>(KILL_KINDS, kills),
    compared: compared as unknown as KillsSummary["compared"],
    archived: {
      records: rounds.reduce((sum, { archived }) => sum + archived.records, 0),
      rows: rounds.reduce((sum, { archived }) => sum + archived.rows, 0),
    },
    wrong: rounds.reduce((sum, round) => sum + killsWrong(round), 0),
    first_wrong: rounds.flatMap(({ checked }) => checked.first_wrong),
  };
}

/** What a person reads of it. */
export function killsLines({
  recovery,
  compared,
  archived,
  rounds,
  wrong,
  first_wrong,
}: KillsSummary): string[] {
  return [
    `${compared.features} feature records of ${compared.observations} observations in ${rounds} rounds, ${archived.rows} rows of ${archived.records} records in the archive, ${wrong} wrong`,
    ...recoveryLines(recovery),
    ...first_wrong,
  ];
}

export interface ServingSummary {
  readonly rounds: number;
  readonly seconds: number;
  readonly recovery: Readonly<Partial<Record<string, Recovery>>>;
  readonly committed: number;
  readonly rows: number;
  readonly served: number;
  readonly schemathesis: { readonly cases: number; readonly passed: number } | null;
  /** 0 when all is proved. */
  readonly wrong: number;
}

export function servingSummary(rounds: readonly ServingRound[]): ServingSummary {
  const sum = (pick: (round: ServingRound) => number) =>
    rounds.reduce((total, round) => total + pick(round), 0);
  const asked = rounds.flatMap(({ schemathesis }) => schemathesis ?? []);
  return {
    rounds: rounds.length,
    seconds: sum((round) => round.seconds),
    recovery: recoveryOf(
      SERVING_KINDS,
      rounds.flatMap(({ kills }) => kills),
    ),
    committed: sum(({ committed }) => committed),
    rows: sum(({ rows }) => rows),
    served: sum(({ served }) => served),
    schemathesis:
      asked.length === 0
        ? null
        : {
            cases: asked.reduce((total, { cases }) => total + cases, 0),
            passed: asked.reduce((total, { passed }) => total + passed, 0),
          },
    wrong: sum(servingWrong),
  };
}

export function servingLines({
  committed,
  rows,
  served,
  rounds,
  wrong,
  recovery,
  schemathesis,
}: ServingSummary): string[] {
  return [
    `${rows} rows of ${committed} records, ${served} forecasts of the API's history, in ${rounds} rounds, ${wrong} wrong`,
    ...recoveryLines(recovery),
    ...(schemathesis === null
      ? []
      : [`Schemathesis: ${schemathesis.passed} of ${schemathesis.cases} cases as described`]),
  ];
}

export interface LinesSummary {
  readonly rounds: number;
  readonly seconds: number;
  readonly recovery: Recovery;
  readonly records: number;
  readonly lines: number;
  readonly files: number;
  readonly readings: number;
  /** 0 when all is proved. */
  readonly wrong: number;
}

export function linesSummary(rounds: readonly LinesRound[]): LinesSummary {
  const sum = (pick: (round: LinesRound) => number) =>
    rounds.reduce((total, round) => total + pick(round), 0);
  return {
    rounds: rounds.length,
    seconds: sum(({ seconds }) => seconds),
    recovery: recoveredFrom(rounds.flatMap(({ kills }) => kills)),
    records: sum(({ records }) => records),
    lines: sum(({ lines }) => lines),
    files: sum(({ files }) => files),
    readings: sum(({ readings }) => readings),
    wrong: sum(linesWrong),
  };
}

export function linesLines({ records, lines, files, readings, recovery, wrong }: LinesSummary): string[] {
  return [
    `${lines} lines of ${records} records in ${files} files, ${readings} readings of whole lines, ${wrong} wrong`,
    ...recoveryLines({ writer: recovery }),
  ];
}

export interface WindowsSummary {
  readonly seconds: number;
  /** 0 when all is proved. */
  readonly wrong: number;
  readonly rounds: readonly Omit<WindowsRound, "first_wrong">[];
  readonly first_wrong: readonly string[];
}

export function windowsWrong({ stream, backfill }: WindowsRound): number {
  return stream.wrong + (backfill?.wrong ?? 0);
}

export function windowsSummary(rounds: readonly WindowsRound[]): WindowsSummary {
  return {
    seconds: rounds.reduce((sum, round) => sum + round.seconds, 0),
    wrong: rounds.reduce((sum, round) => sum + windowsWrong(round), 0),
    rounds: rounds.map(({ first_wrong, ...round }) => round),
    first_wrong: rounds.flatMap(({ first_wrong }) => first_wrong),
  };
}

export function windowsLines({ rounds, wrong }: WindowsSummary): string[] {
  return [
    ...rounds.map(
      ({ days, duplicates, stream, backfill }) =>
        `${days} days, duplicates "${duplicates}": ${stream.windows} windows and ${stream.rejects} rejects in the stream${
          backfill ? `, ${backfill.windows} and ${backfill.rejects} in the backfill` : ""
        }`,
    ),
    `${wrong} wrong`,
  ];
}

export interface ArchiveSummary {
  readonly seconds: number;
  /** 0 when all is proved. */
  readonly wrong: number;
  /** From the kill to the first commit after it. */
  readonly recovery: Recovery;
  readonly rounds: readonly Omit<ArchiveRound, "first_wrong">[];
  readonly first_wrong: readonly string[];
}

export function archiveSummary(rounds: readonly ArchiveRound[]): ArchiveSummary {
  return {
    seconds: rounds.reduce((sum, round) => sum + round.seconds, 0),
    wrong: rounds.reduce((sum, round) => sum + archiveWrong(round), 0),
    recovery: recoveredFrom(rounds.flatMap(({ kills }) => kills)),
    rounds: rounds.map(({ first_wrong, ...round }) => round),
    first_wrong: rounds.flatMap(({ first_wrong }) => first_wrong),
  };
}

export function archiveLines({ rounds, recovery, wrong }: ArchiveSummary): string[] {
  return [
    ...rounds.map(
      ({ kills, checked, versions, backfill }) =>
        `${kills.length} kills: ${checked.records} records, ${checked.rows} rows in ${versions} versions; ${backfill.windows} windows from the archive`,
    ),
    `committed again after ${(recovery.median_ms / 1000).toFixed(1)} s (median), ${(recovery.max_ms / 1000).toFixed(1)} s (most)`,
    `${wrong} wrong`,
  ];
}
