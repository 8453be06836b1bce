// What the API says of itself (openapi.json): which resources there are, what may be done with
// each and by whom, what their fields are, and by what lists are filtered and ordered. Tables and
// forms are made from this, and know no resource.
import { PREFIX, call } from "./api.js";
import * as session from "./session.js";

const PAGING = new Set(["limit", "after", "sort", "fields"]);
const ONE = "/{document_id}";
const ID = "^[0-9a-fA-F]{24}$";

let described = null;

/** Get the description, once. */
export async function load() {
  described ??= (await call("GET", `${PREFIX}/openapi.json`)).data;
}

/** Whether the API has this route at all, such as /cluster. */
export const has = (path, method = "get") => method in (described.paths[PREFIX + path] ?? {});

/** All resources, by name. */
export function resources() {
  const lists = Object.keys(described.paths).filter((path) => pageOf(path) !== null);
  return Object.fromEntries(lists.map((path) => [path.slice(PREFIX.length + 1), resource(path)]));
}

/** The schema of a list's items; null where the path is no list. */
function pageOf(path) {
  if (!path.startsWith(`${PREFIX}/`) || path.includes("{")) return null;
  const operation = described.paths[path].get;
  const schema = resolved(operation?.responses["200"]?.content?.["application/json"]?.schema ?? {});
  const paged = operation?.parameters?.some(({ name }) => name === "after");
  return paged && schema.properties?.items ? schema.properties.items.items : null;
}

function resource(path) {
  const name = path.slice(PREFIX.length + 1);
  const [all, one] = [described.paths[path], described.paths[path + ONE] ?? {}];
  const at = (suffix) => described.paths[path + suffix] ?? {};
  const files = Object.keys(described.paths)
    .filter((other) => other.startsWith(`${path}${ONE}/`))
    .map((other) => other.slice(path.length + ONE.length + 1));
  return {
    name,
    path,
    columns: fieldsOf(pageOf(path)).map((column) =>
      files.includes(column.name) ? { ...column, kind: "file" } : column,
    ),
    operations: {
      list: all.get,
      create: all.post,
      get: one.get,
      change: one.patch,
      delete: one.delete,
      export: at("/export").get,
      import: at("/import").post,
    },
  };
}

/** Whether who is signed in may do this, as far as that hangs on the role. */
export function offered(operation) {
  if (!operation) return false;
  const who = operation["x-who"];
  if (who === "anyone" || operation.security?.length === 0) return true;
  return session.me() !== null && (who !== "admin" || session.isAdmin());
}

/** Whether nobody needs to be signed in for it. */
export const open = (operation) => operation?.security?.length === 0;

/** The fields of the body that an operation takes, by the role of who sends it. */
export function bodyOf(operation) {
  const content = Object.entries(operation.requestBody.content)[0];
  const [media, { schema, "x-line": line }] = content;
  const given = line ?? schema;
  const shapes = given.anyOf ?? [given];
  return { media, fields: fieldsOf(session.isAdmin() ? shapes.at(-1) : shapes[0]) };
}

/** The fields of the body at a path of the API, such as /auth/signup. */
export const bodyAt = (path) => bodyOf(described.paths[PREFIX + path].post);

/** How a list may be ordered: ["name", "-name", …]. */
export function sortsOf(operation) {
  return operation.parameters.find(({ name }) => name === "sort")?.schema.enum ?? [];
}

/** By what a list may be filtered: [{name, operators: ["eq", "prefix"], field}] */
export function filtersOf(operation) {
  const found = new Map();
  for (const { name, in: where, schema } of operation.parameters ?? []) {
    if (where !== "query" || PAGING.has(name)) continue;
    const [field, operator = "eq"] = name.split(/[[\]]/);
    const filter = found.get(field) ?? { name: field, operators: [], field: null };
    filter.operators.push(operator);
    if (operator === "eq") filter.field = fieldOf(field, schema, false);
    found.set(field, filter);
  }
  return [...found.values()].filter(({ field }) => field !== null);
}

function resolved(schema) {
  return schema.$ref ? described.components.schemas[schema.$ref.split("/").at(-1)] : schema;
}

function fieldsOf(schema) {
  const { properties = {}, required = [] } = resolved(schema);
  return Object.entries(properties).map(([name, of]) => fieldOf(name, of, required.includes(name)));
}

/**
 * A field: {name, kind, required, nullable, schema}, with `choices` of a choice, `item` of a list,
 * `fields` of an object. A field that may be null and is absent is the same as one that is null.
 */
function fieldOf(name, given, required) {
  const branches = (given.anyOf ?? [given]).filter((branch) => branch.type !== "null");
  const schema = { ...given, ...resolved(branches[0] ?? {}) };
  const field = { name, required, nullable: given.anyOf?.length > branches.length, schema };
  // A present password is a text without rules; it is one all the same.
  const kind = /(^|_)password$/.test(name) ? "password" : kindOf(schema);
  if (kind === "choice") return { ...field, kind, choices: schema.enum };
  if (kind === "list") return { ...field, kind, item: fieldOf(name, schema.items ?? {}, true) };
  if (kind === "object") return { ...field, kind, fields: fieldsOf(schema) };
  return { ...field, kind };
}

const FORMATS = {
  date: "date",
  "date-time": "time",
  password: "password",
  email: "email",
  phone: "phone",
  text: "paragraphs",
  binary: "file",
};

function kindOf(schema) {
  if (schema.enum) return "choice";
  switch (schema.type) {
    case "boolean":
    case "integer":
    case "number":
      return schema.type;
    case "array":
      return "list";
    case "object":
      return "object";
    default:
      return schema.pattern === ID ? "id" : (FORMATS[schema.format] ?? "line");
  }
}
