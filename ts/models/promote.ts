// Which version of a model serves. The alias `champion` in the registry says it; here it is moved, by the rule for a version that
// was just trained or because a person says so, and then announced. The registry knows no compare-and-set: everybody who moves an
// alias does so here, under the lock the caller brings, and only if it still names what the decision was made against.

import { PipelineError } from "../contract/index.ts";
import type { Mlflow, ModelVersion } from "../engines/mlflow.ts";

export const ALIASES: readonly string[] = ["champion", "challenger"];

/** A new version may be this much worse than the champion on the same test rows, a ratio of mean absolute errors, inclusive. */
export const TOLERATED_LOSS = 1.01;

/** The version a person names: an alias or a number. Errors: `config_invalid` when there is none. */
export async function findVersion(mlflow: Mlflow, model: string, which: string): Promise<ModelVersion> {
  const found = /^\d+$/.test(which) ? await mlflow.version(model, which) : await mlflow.byAlias(model, which);
  if (found !== null) return found;
  const there = (await mlflow.versions(model)).map((v) => v.version);
  throw new PipelineError(
    "config_invalid",
    `Cannot find "${which}" of model "${model}" at "${mlflow.url}": expected ${
      there.length === 0 ? "a trained model (millrace train)" : `an alias or one of ${there.join(", ")}`
    }`,
  );
}

/** Says that an alias was moved. */
export type Announce = (moved: { readonly alias: string; readonly version: string }) => Promise<unknown>;

/**
 * Moves an alias because a person says so, and announces it. The registry is moved first: an announcement of a move that did not
 * happen would make actors look in vain; a move that nobody heard of is announced by the supervisor.
 * Errors: `model_refused` for a version without a digest, since an actor would refuse it, or without a model card, and when
 * somebody else moves the alias at the same time.
 */
export async function promote(
  mlflow: Mlflow,
  model: string,
  { which, alias }: { readonly which: string; readonly alias: string },
  say: Announce,
): Promise<ModelVersion> {
  if (!ALIASES.includes(alias))
    throw new PipelineError(
      "config_invalid",
      `Cannot promote to "${alias}": expected one of ${ALIASES.join(", ")}`,
    );
  const version = await findVersion(mlflow, model, which);
  const before = await mlflow.byAlias(model, alias);
  await move(mlflow, { alias, version, expected: before?.version ?? null });
  await say({ alias, version: version.version });
  return { ...version, aliases: [...new Set([...version.aliases, alias])].sort() };
}

/** Errors: `model_refused` for a version that must not serve, and when the alias names another version than expected. */
async function move(
  mlflow: Mlflow,
  {
    alias,
    version,
    expected,
  }: { readonly alias: string; readonly version: ModelVersion; readonly expected: string | null },
): Promise<void> {
  const { model } = version;
  const refuse = (wanted: string): PipelineError =>
    new PipelineError(
      "model_refused",
      `Cannot promote version ${version.version} of model "${model}": expected ${wanted}, got none`,
    );
  if (version.digest === null) throw refuse("a digest to check it by");
  if (version.card === null) throw refuse("a model card that says what it is worth");
  const now = (await mlflow.byAlias(model, alias))?.version ?? null;
  if (now !== expected)
    throw new PipelineError(
      "model_refused",
      `Cannot promote version ${version.version} of model "${model}": expected alias "${alias}" at version ${expected ?? "none"}, somebody moved it to ${now ?? "none"}`,
    );
  await mlflow.setAlias(model, alias, version.version);
}

/** What became of a version that was just trained. */
export type PromotionOutcome =
  | { readonly kind: "promoted"; readonly version: string; readonly before: string | null }
  /** It is champion already: this is the second time it is asked. */
  | { readonly kind: "champion"; readonly version: string }
  | { readonly kind: "kept"; readonly version: string; readonly champion: string; readonly reason: string }
  /** The submission registered no version. */
  | { readonly kind: "none" };

/**
 * Decides about the version that a submission of training registered: it becomes champion when there is none that could serve, or
 * when it is at most `TOLERATED_LOSS` times as wrong as the champion it was compared with, and that is still the champion. Can be
 * asked again: whoever was killed between the move and its announcement announces it then.
 * Errors: those of the registry; of `say`.
 */
export async function promoteTrained(
  mlflow: Mlflow,
  model: string,
  submission: string,
  say: Announce,
): Promise<PromotionOutcome> {
  const version = (await mlflow.versions(model)).find((one) => one.submission === submission);
  if (!version) return { kind: "none" };
  const before = (await mlflow.byAlias(model, "champion"))?.version ?? null;
  if (before === version.version) {
    await say({ alias: "champion", version: version.version });
    return { kind: "champion", version: version.version };
  }
  const reason = before === null ? null : reasonToKeep(version, before);
  if (before !== null && reason !== null)
    return { kind: "kept", version: version.version, champion: before, reason };
  await move(mlflow, { alias: "champion", version, expected: before });
  await say({ alias: "champion", version: version.version });
  return { kind: "promoted", version: version.version, before };
}

/** Why the champion stays; null when the new version takes its place. */
function reasonToKeep({ rival, parent }: ModelVersion, champion: string): string | null {
  // Without a rival the champion of that time could not serve this contract, or there was none.
  if ((rival?.version ?? parent) !== champion)
    return `it was compared with ${rival?.version ?? parent ?? "no champion"}, and ${champion} has become champion since`;
  if (rival !== null && rival.ratio > TOLERATED_LOSS)
    return `its errors are ${rival.ratio.toFixed(3)} times those of the champion, at most ${TOLERATED_LOSS} is allowed`;
  return null;
}

/** One sentence for people. */
export function describe(model: string, verdict: PromotionOutcome): string {
  switch (verdict.kind) {
    case "none":
      return `the training registered no version of ${model}`;
    case "champion":
      return `version ${verdict.version} of ${model} is champion`;
    case "promoted":
      return `version ${verdict.version} of ${model} is champion${verdict.before === null ? "" : ` in place of ${verdict.before}`}`;
    case "kept":
      return `version ${verdict.champion} of ${model} stays champion, not ${verdict.version}: ${verdict.reason}; "millrace models promote ${verdict.version}" promotes it all the same`;
  }
}
