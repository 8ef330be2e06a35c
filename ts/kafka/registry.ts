// The schema registry by Confluent's API (Apicurio's /apis/ccompat/v7 and others): register, look up, check.
// By plain HTTP and not through a client library: what is asked are seven routes, and all HTTP has one place (ts/ground).
// Registration happens here only, never from a job. Decoding lives in ts/contract; this hands out ids and schema texts.

import { definitionOf, PipelineError } from "../contract/index.ts";
import { canonicalJson } from "../ground/canonical.ts";
import { type Exchange, type Http, httpOf } from "../ground/http.ts";

type Method = NonNullable<Exchange["method"]>;

export type Compatibility = "BACKWARD" | "BACKWARD_TRANSITIVE" | "FORWARD" | "FULL" | "NONE";

export interface Version {
  readonly version: number;
  readonly id: number;
  /** As registered: Avro JSON, a JSON Schema, a .proto. */
  readonly schema: string;
}

export interface Registry {
  readonly url: string;
  /** Sets the subject's compatibility, then registers. The same schema gives the same id again. Errors: `contract_rejected`. */
  register(subject: string, schema: string, compatibility: Compatibility): Promise<number>;
  /** Text of an id's schema, cached: an id never changes its meaning. Null for an unknown id, which is not cached. */
  schemaById(id: number): Promise<string | null>;
  /**
   * Id under which a subject holds this very schema.
   * Errors: `contract_mismatch` when it does not; `millrace apply` registers it.
   */
  idOf(subject: string, schema: string): Promise<number>;
  /** Every version of a subject, oldest first; empty for an unknown subject. */
  versions(subject: string): Promise<Version[]>;
  /** Whether a schema may follow the newest of its subject by the subject's rule; true for a new subject. */
  check(subject: string, schema: string): Promise<{ compatible: boolean; messages: string[] }>;
  subjects(): Promise<string[]>;
  remove(subject: string): Promise<void>;
}

const TYPE = "application/vnd.schemaregistry.v1+json";

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Opens nothing yet. Errors of all: `registry_unreachable`. */
export function connectRegistry(
  url: string,
  { http = httpOf("registry_unreachable") }: { readonly http?: Http } = {},
): Registry {
  const base = url.replace(/\/+$/, "");
  const texts = new Map<number, string>();

  const call = async (action: string, method: Method, path: string, body?: object): Promise<Answer> => {
    const { status, text } = await http({
      action,
      method,
      url: `${base}${path}`,
      // Everything asked here may be asked twice: to register a schema again gives its id again.
      repeatable: true,
      ...(body === undefined ? {} : { type: TYPE, body }),
    });
    try {
      return { status, body: text === "" ? null : JSON.parse(text) };
    } catch (cause) {
      throw new PipelineError(
        "registry_unreachable",
        `Cannot ${action} at "${base}": expected JSON, got HTTP ${status}`,
        { cause, context: { url: base, status } },
      );
    }
  };
  const ok = async (
    what: string,
    method: Method,
    path: string,
    body?: object,
    accepted: readonly number[] = [],
  ): Promise<unknown> => {
    const answer = await call(what, method, path, body);
    if (answer.status < 300 || accepted.includes(answer.status)) return answer.body;
    throw new PipelineError(
      answer.status >= 500 ? "registry_unreachable" : "contract_rejected",
      `Cannot ${what} at "${base}": expected success, got HTTP ${answer.status}${describeBody(answer.body)}`,
      { context: { url: base, status: answer.status } },
    );
  };
  const of = (subject: string): string => `/subjects/${encodeURIComponent(subject)}`;

  return {
    url: base,
    async register(subject, schema, compatibility) {
      const { compatible, messages } = await this.check(subject, schema);
      if (!compatible)
        throw new PipelineError(
          "contract_rejected",
          `Cannot register subject "${subject}" at "${base}": expected a change its readers can follow, got ${messages.join("; ") || "an incompatible one"}`,
          { context: { url: base, subject } },
        );
      const setRule = (accepted: readonly number[]) =>
        ok(
          `set the compatibility of subject "${subject}"`,
          "PUT",
          `/config/${encodeURIComponent(subject)}`,
          { compatibility },
          accepted,
        );
      // Set before every registration: a subject that nobody configured has the registry's default, Apicurio's is NONE.
      if (compatibility !== "NONE") await setRule([]);
      const { id } = (await ok(`register subject "${subject}"`, "POST", `${of(subject)}/versions`, {
        schema,
        schemaType: typeIn(schema),
      })) as { id: number };
      // To have no rule is to take one away, which needs a subject; Apicurio answers 404 where there never was one.
      if (compatibility === "NONE") await setRule([404]);
      texts.set(id, schema);
      return id;
    },
    async schemaById(id) {
      const known = texts.get(id);
      if (known !== undefined) return known;
      const { status, body } = await call(`look up schema id ${id}`, "GET", `/schemas/ids/${id}`);
      if (status === 404) return null;
      const schema = (body as { schema?: unknown } | null)?.schema;
      if (typeof schema !== "string")
        throw new PipelineError(
          "registry_unreachable",
          `Cannot look up schema id ${id} at "${base}": expected a schema, got HTTP ${status}${describeBody(body)}`,
        );
      texts.set(id, schema);
      return schema;
    },
    async idOf(subject, schema) {
      const versions = await this.versions(subject);
      const found = versions.findLast((version) => sameSchema(version.schema, schema));
      if (found !== undefined) return found.id;
      throw new PipelineError(
        "contract_mismatch",
        `Cannot use subject "${subject}" at "${base}": expected this contract's schema among its versions, got ` +
          `${versions.length === 0 ? "no version" : `${versions.length} others`}; "millrace apply" registers it`,
        { context: { url: base, subject } },
      );
    },
    async versions(subject) {
      const { status, body } = await call(
        `list versions of subject "${subject}"`,
        "GET",
        `${of(subject)}/versions`,
      );
      if (status === 404) return [];
      if (status >= 300 || !Array.isArray(body))
        throw new PipelineError(
          "registry_unreachable",
          `Cannot list versions of subject "${subject}" at "${base}": expected a list, got HTTP ${status}${describeBody(body)}`,
        );
      const versions: Version[] = [];
      for (const version of (body as number[]).sort((a, b) => a - b)) {
        const found = (await ok(
          `look up version ${version} of subject "${subject}"`,
          "GET",
          `${of(subject)}/versions/${version}`,
        )) as { id: number; schema: string };
        texts.set(found.id, found.schema);
        versions.push({ version, id: found.id, schema: found.schema });
      }
      return versions;
    },
    async check(subject, schema) {
      const { status, body } = await call(
        `check subject "${subject}"`,
        "POST",
        `/compatibility/subjects/${encodeURIComponent(subject)}/versions/latest?verbose=true`,
        { schema, schemaType: typeIn(schema) },
      );
      if (status === 404) return { compatible: true, messages: [] };
      if (status === 422 || status === 409)
        return { compatible: false, messages: [`HTTP ${status}${describeBody(body)}`] };
      const answer = body as { is_compatible?: boolean; messages?: string[] } | null;
      if (status >= 300 || typeof answer?.is_compatible !== "boolean")
        throw new PipelineError(
          "registry_unreachable",
          `Cannot check subject "${subject}" at "${base}": expected a verdict, got HTTP ${status}${describeBody(body)}`,
        );
      return { compatible: answer.is_compatible, messages: answer.messages ?? [] };
    },
    subjects: async () => (await ok("list subjects", "GET", "/subjects")) as string[],
    async remove(subject) {
      await call(`remove subject "${subject}"`, "DELETE", of(subject));
    },
  };
}

/** The registry's word for a schema's format. */
function typeIn(schema: string): string {
  return definitionOf(schema).format.toUpperCase();
}

/** Registries may write the same JSON with other spaces or key order, and the same .proto with other line ends. */
export function sameSchema(a: string, b: string): boolean {
  const bare = (text: string) =>
    /^\s*[{["]/.test(text) ? canonicalJson(JSON.parse(text)) : text.trim().split(/\s+/).join(" ");
  return bare(a) === bare(b);
}

function describeBody(body: unknown): string {
  const message = (body as { message?: unknown } | null)?.message;
  return typeof message === "string" ? ` "${message.slice(0, 300)}"` : "";
}
