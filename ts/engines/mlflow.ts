// MLflow's registry over REST: which versions a model has, which one an alias names, and moving that alias.
// Sits between models/ and one tracking server. Trains, loads and announces nothing; a model's files are Python's business.
// REST: https://mlflow.org/docs/latest/rest-api.html

import { PipelineError } from "../contract/errors.ts";
import { type Http, httpOf, isUncertain, type Reply, refusedReply } from "../ground/http.ts";
import { change, type Pace } from "../ground/repeat.ts";

export interface ModelVersion {
  readonly model: string;
  /** A whole number from 1, as text. */
  readonly version: string;
  /** Names that point here now, sorted. */
  readonly aliases: readonly string[];
  readonly created_ms: number;
  readonly run_id: string | null;
  /** SHA-256 of the model; null on a version that Millrace did not train. */
  readonly digest: string | null;
  /** Its model card among the artifacts of its run; null without one. */
  readonly card: string | null;
  /** Fingerprint of what has to match for the model to be loaded, and of the whole contract it was trained under. */
  readonly fingerprint: string | null;
  readonly contract_fingerprint: string | null;
  /** Version that was champion when this one was trained; null when there was none. */
  readonly parent: string | null;
  /** The submission that trained it; null on a version from before submissions were noted. */
  readonly submission: string | null;
  /** The champion it was compared with, and the mean ratio of its errors over that one's; null without a comparison. */
  readonly rival: { readonly version: string; readonly ratio: number } | null;
}

export interface Mlflow {
  readonly url: string;
  /** Resolves when the server answers that it is well. */
  health(): Promise<void>;
  /** Null when there is no such model or alias. */
  byAlias(model: string, alias: string): Promise<ModelVersion | null>;
  /** Null when there is no such version. */
  version(model: string, version: string): Promise<ModelVersion | null>;
  /** Newest first; empty for an unknown model. */
  versions(model: string): Promise<ModelVersion[]>;
  /** Moves an alias, or sets it. Errors: `model_refused` when there is no such version. */
  setAlias(model: string, alias: string, version: string): Promise<void>;
  /** Registers the files of a version under another model as well; its new version there. Errors: `model_refused`. */
  copy(from: { readonly model: string; readonly version: string }, to: string): Promise<string>;
  /** Metrics of a training run by name; a name ends in its unit where it has one. */
  metrics(run_id: string): Promise<Record<string, number>>;
  /** A text among a run's artifacts; null when there is none of that path. */
  artifact(run_id: string, path: string): Promise<string | null>;
}

/** What MLflow sends of a version; the parts read here. */
interface Sent {
  readonly name: string;
  readonly version: string | number;
  readonly creation_timestamp?: number;
  readonly run_id?: string;
  readonly aliases?: readonly string[];
  readonly tags?: readonly { readonly key: string; readonly value: string }[];
}

/** Page size of a search, and the most pages read: a registry with more versions of one model is not one of ours. */
const PAGE = 200;
const PAGES_MAX = 50;

/** Opens nothing yet. Errors of all: `store_unreachable`; `job_failed` when the server answers with something else. */
export function mlflowOf(
  address: { readonly mlflowUrl: string },
  {
    http = httpOf("store_unreachable"),
    pace,
  }: {
    readonly http?: Http;
    /** How a change whose answer was lost is resolved. */
    readonly pace?: Pace;
  } = {},
): Mlflow {
  const url = address.mlflowUrl.replace(/\/+$/, "");

  /** The body, or null when the server says that there is no such thing. */
  const ask = async <T>(
    action: string,
    path: string,
    query: Record<string, string>,
    body?: unknown,
  ): Promise<T | null> => {
    const target = `${url}/api/2.0/mlflow/${path}${body === undefined ? `?${new URLSearchParams(query)}` : ""}`;
    const reply = await http({
      action,
      url: target,
      ...(body === undefined ? {} : { method: "POST" as const, body }),
    });
    const parsed = parse(reply);
    if (reply.status === 200 && parsed !== null) return parsed as T;
    if (missing(parsed)) return null;
    throw refusedReply(reply, "job_failed", action, target, "JSON");
  };

  const aliasesOf = async (model: string): Promise<ReadonlyMap<string, string[]>> => {
    const found = await ask<{
      registered_model: { aliases?: { alias: string; version: string | number }[] };
    }>(`read model "${model}"`, "registered-models/get", { name: model });
    const by = new Map<string, string[]>();
    for (const { alias, version } of found?.registered_model.aliases ?? [])
      by.set(String(version), [...(by.get(String(version)) ?? []), alias].sort());
    return by;
  };

  /** The version an alias names, as MLflow sends it. */
  const named = async (model: string, alias: string): Promise<Sent | null> => {
    const found = await ask<{ model_version: Sent }>(
      `read alias "${alias}" of model "${model}"`,
      "registered-models/alias",
      { name: model, alias },
    );
    return found?.model_version ?? null;
  };

  const versions = async (model: string): Promise<ModelVersion[]> => {
    const aliases = await aliasesOf(model);
    const all: ModelVersion[] = [];
    let page_token = "";
    for (let page = 0; page < PAGES_MAX; page++) {
      const found = await ask<{ model_versions?: Sent[]; next_page_token?: string }>(
        `list the versions of model "${model}"`,
        "model-versions/search",
        {
          // A single quote would end the literal; names.ts makes none, and a filter that is cut short finds others' models.
          filter: `name='${model.replaceAll("'", "")}'`,
          max_results: String(PAGE),
          ...(page_token === "" ? {} : { page_token }),
        },
      );
      for (const sent of found?.model_versions ?? []) all.push(versionOf(sent, aliases));
      page_token = found?.next_page_token ?? "";
      if (page_token === "") break;
    }
    return all.sort((a, b) => Number(b.version) - Number(a.version));
  };

  /** Asks for what must not happen twice. */
  const changed = <T>(make: () => Promise<T>, find: () => Promise<T | null>): Promise<T> =>
    change({ make, find, passes: isUncertain, pace });

  return {
    url,
    health: async () => {
      const reply = await http({ action: "ask MLflow for its health", url: `${url}/health` });
      if (reply.status !== 200)
        throw refusedReply(
          reply,
          "store_unreachable",
          "ask MLflow for its health",
          `${url}/health`,
          "HTTP 200",
        );
    },
    byAlias: async (model, alias) => {
      const sent = await named(model, alias);
      return sent && versionOf(sent, await aliasesOf(model));
    },
    version: async (model, version) => {
      const found = await ask<{ model_version: Sent }>(
        `read version ${version} of model "${model}"`,
        "model-versions/get",
        { name: model, version },
      );
      return found === null ? null : versionOf(found.model_version, await aliasesOf(model));
    },
    versions,
    setAlias: async (model, alias, version) => {
      const action = `move alias "${alias}" of model "${model}" to version ${version}`;
      const before = String((await named(model, alias))?.version ?? "none");
      const done = await changed<object | null>(
        () => ask<object>(action, "registered-models/alias", {}, { name: model, alias, version }),
        async () => {
          const now = String((await named(model, alias))?.version ?? "none");
          if (now === version) return {};
          if (now === before) return null;
          throw new PipelineError(
            "model_refused",
            `Cannot ${action} at "${url}": expected it at version ${before} until then, somebody moved it to ${now}`,
          );
        },
      );
      if (done === null)
        throw new PipelineError(
          "model_refused",
          `Cannot ${action} at "${url}": expected a version that exists, got none`,
        );
    },
    copy: async ({ model, version }, to) => {
      const action = `register version ${version} of model "${model}" as model "${to}"`;
      const found = await ask<{ model_version: Sent & { readonly source: string } }>(
        action,
        "model-versions/get",
        { name: model, version },
      );
      if (found === null)
        throw new PipelineError(
          "model_refused",
          `Cannot ${action} at "${url}": expected a version that exists, got none`,
        );
      const { source, run_id, tags } = found.model_version;
      const there = () => ask<object>(action, "registered-models/get", { name: to });
      if ((await there()) === null)
        await changed(() => ask<object>(action, "registered-models/create", {}, { name: to }), there);
      const before = new Set((await versions(to)).map((one) => one.version));
      return changed(
        async () => {
          const body = { name: to, source, run_id, tags };
          const made = await ask<{ model_version: Sent }>(action, "model-versions/create", {}, body);
          return String(made!.model_version.version);
        },
        async () =>
          (await versions(to)).find((one) => !before.has(one.version) && one.run_id === (run_id || null))
            ?.version ?? null,
      );
    },
    artifact: async (run_id, path) => {
      const action = `read "${path}" of run "${run_id}"`;
      const target = `${url}/get-artifact?${new URLSearchParams({ path, run_uuid: run_id })}`;
      const reply = await http({ action, url: target });
      if (reply.status === 200) return reply.text;
      if (reply.status === 404 || missing(parse(reply))) return null;
      throw refusedReply(reply, "job_failed", action, target, "HTTP 200");
    },
    metrics: async (run_id) => {
      const found = await ask<{ run: { data: { metrics?: { key: string; value: number }[] } } }>(
        `read run "${run_id}"`,
        "runs/get",
        { run_id },
      );
      const sent = found?.run.data.metrics ?? [];
      return Object.fromEntries(
        sent.map(({ key, value }) => [key, value] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
      );
    },
  };
}

function versionOf(sent: Sent, aliases: ReadonlyMap<string, readonly string[]>): ModelVersion {
  const tags = new Map((sent.tags ?? []).map(({ key, value }) => [key, value]));
  const version = String(sent.version);
  const parent = tags.get("parent") ?? "none";
  return {
    model: sent.name,
    version,
    aliases: aliases.get(version) ?? [],
    created_ms: sent.creation_timestamp ?? 0,
    run_id: sent.run_id || null,
    digest: tags.get("digest") ?? null,
    card: tags.get("card") ?? null,
    fingerprint: tags.get("fingerprint") ?? null,
    contract_fingerprint: tags.get("contract_fingerprint") ?? null,
    parent: parent === "none" ? null : parent,
    submission: tags.get("submission") ?? null,
    rival: rivalOf(tags.get("rival"), tags.get("rival_ratio")),
  };
}

function rivalOf(version = "none", ratio = "none"): ModelVersion["rival"] {
  const number = Number(ratio);
  return version === "none" || !Number.isFinite(number) ? null : { version, ratio: number };
}

function parse(reply: Reply): unknown {
  try {
    return JSON.parse(reply.text);
  } catch {
    return null;
  }
}

/** An unset alias is INVALID_PARAMETER_VALUE with this text; a missing model or version RESOURCE_DOES_NOT_EXIST. Seen with 3.17. */
function missing(body: unknown): boolean {
  if (typeof body !== "object" || body === null) return false;
  const { error_code, message } = body as { error_code?: unknown; message?: unknown };
  return (
    error_code === "RESOURCE_DOES_NOT_EXIST" ||
    (error_code === "INVALID_PARAMETER_VALUE" && /alias .*not found/i.test(String(message ?? "")))
  );
}
