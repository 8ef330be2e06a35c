// The page at /docs, from the OpenAPI document alone: complete without scripts, loads nothing but its style.
// Knows no route; a keyword of JSON Schema it has no words for is simply not shown.

type Json = Readonly<Record<string, unknown>>;

const ESCAPE: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escapeHtml = (text: unknown): string => String(text).replace(/[&<>"']/g, (c) => ESCAPE[c] ?? c);
/** Text of people: what stands in backquotes is code. */
const prose = (text: unknown): string =>
  escapeHtml(text ?? "").replace(/`([^`]+)`/g, (_, code) => `<code>${code}</code>`);

const record = (value: unknown): Json => (value ?? {}) as Json;
const listOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? (value as Json[]) : []);
const nameOf = (ref: unknown): string => String(ref).split("/").at(-1) ?? "";

/** `number, °C`, `WeatherStation or null`: a schema in a few words, with links to those that have a name. */
function typeText(schema: Json): string {
  if (schema["$ref"]) {
    const name = escapeHtml(nameOf(schema["$ref"]));
    return `<a href="#schema-${name}">${name}</a>`;
  }
  const choices = listOf(schema["anyOf"] ?? schema["oneOf"]);
  if (choices.length > 0) return choices.map(typeText).join(" or ");
  if (schema["const"] !== undefined) return `<code>${escapeHtml(JSON.stringify(schema["const"]))}</code>`;
  if (Array.isArray(schema["enum"]))
    return schema["enum"].map((word) => `<code>${escapeHtml(word)}</code>`).join(", ");
  const type = [schema["type"] ?? "anything"].flat().join(" or ");
  if (type === "array") return `list of ${typeText(record(schema["items"]))}`;
  const format = schema["format"] === "date-time" ? "time" : type;
  const ends = [
    schema["minimum"] === undefined ? "" : `from ${schema["minimum"]}`,
    schema["maximum"] === undefined ? "" : `to ${schema["maximum"]}`,
    schema["default"] === undefined ? "" : `usually ${schema["default"]}`,
    schema["unit"] === undefined || schema["unit"] === "1" ? "" : `in ${schema["unit"]}`,
  ].filter((words) => words !== "");
  return escapeHtml([format, ...ends].join(", "));
}

/** The properties of an object, those within it indented by their path. */
function rows(schema: Json, path: string, depth: number): string {
  const inner = [schema, ...listOf(schema["anyOf"])].find((one) => one["properties"]) ?? schema;
  return Object.entries(record(inner["properties"]))
    .map(([name, value]) => {
      const property = record(value);
      const at = `${path}${name}`;
      const item = record(property["items"]);
      const below = depth >= 3 ? "" : rows(item["properties"] ? item : property, `${at}.`, depth + 1);
      return `<tr><th scope="row"><code>${escapeHtml(at)}</code></th><td>${typeText(property)}</td><td>${prose(property["description"])}</td></tr>${below}`;
    })
    .join("\n");
}

const table = (heads: readonly string[], body: string): string =>
  `<div class="scroll" tabindex="0"><table><thead><tr>${heads.map((head) => `<th scope="col">${head}</th>`).join("")}</tr></thead><tbody>${body}</tbody></table></div>`;

function operation(path: string, get: Json): string {
  const parameters = listOf(get["parameters"])
    .map(
      (p) =>
        `<tr><th scope="row"><code>${escapeHtml(p["name"])}</code></th><td>${escapeHtml(p["in"])}</td><td>${typeText(record(p["schema"]))}</td><td>${prose(p["description"] ?? record(p["schema"])["description"])}</td></tr>`,
    )
    .join("\n");
  const answers = Object.entries(record(get["responses"]))
    .map(([status, value]) => {
      const response = record(value);
      const bodies = Object.entries(record(response["content"]))
        .map(
          ([type, media]) => `<code>${escapeHtml(type)}</code> ${typeText(record(record(media)["schema"]))}`,
        )
        .join("<br>");
      return `<tr><th scope="row">${escapeHtml(status)}</th><td>${bodies}</td><td>${prose(response["description"])}</td></tr>`;
    })
    .join("\n");
  return `<section aria-labelledby="${escapeHtml(get["operationId"])}">
<h3 id="${escapeHtml(get["operationId"])}"><code>GET ${escapeHtml(path)}</code></h3>
<p>${prose(get["summary"])}. ${prose(get["description"])}</p>
${parameters === "" ? "" : table(["Parameter", "In", "Type", "Meaning"], parameters)}
${table(["Status", "Body", "Meaning"], answers)}
</section>`;
}

/** The whole page. */
export function guide(document: Json): string {
  const info = record(document["info"]);
  const operations = Object.entries(record(document["paths"])).flatMap(([path, item]) => {
    const get = record(item)["get"];
    return get ? [{ path, get: record(get) }] : [];
  });
  const byTag = listOf(document["tags"])
    .map((tag) => ({
      tag,
      ours: operations.filter(({ get }) => (get["tags"] as string[])?.includes(String(tag["name"]))),
    }))
    .filter(({ ours }) => ours.length > 0);
  const contents = byTag
    .flatMap(({ ours }) => ours)
    .map(
      ({ path, get }) =>
        `<li><a href="#${escapeHtml(get["operationId"])}"><code>${escapeHtml(path)}</code></a> ${prose(get["summary"])}</li>`,
    )
    .join("\n");
  const sections = byTag
    .map(
      ({ tag, ours }) =>
        `<h2>${prose(tag["description"])}</h2>\n${ours.map(({ path, get }) => operation(path, get)).join("\n")}`,
    )
    .join("\n");
  const schemas = Object.entries(record(record(document["components"])["schemas"]))
    .map(([name, schema]) => {
      const body = rows(record(schema), "", 0);
      return `<section aria-labelledby="schema-${escapeHtml(name)}"><h3 id="schema-${escapeHtml(name)}">${escapeHtml(name)}</h3><p>${prose(record(schema)["description"])}</p>${body === "" ? "" : table(["Key", "Type", "Meaning"], body)}</section>`;
    })
    .join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(info["title"])}: the API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/web/page.css">
</head>
<body>
<header><div><h1>${escapeHtml(info["title"])} ${escapeHtml(info["version"])}</h1><p class="tag">${prose(info["description"])}</p></div></header>
<main>
<nav aria-label="Routes"><ul>${contents}</ul></nav>
${sections}
<h2>Schemas</h2>
${schemas}
</main>
</body>
</html>
`;
}
