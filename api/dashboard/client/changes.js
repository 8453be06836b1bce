// What a form changed of a document, as the merge patch (RFC 7396) that says so.
import { fromRaw } from "./values.js";

/** A change's fields as a form has them: what must not be null must be entered, but for secrets. */
export function editable(fields) {
  return fields.map((field) => ({ ...field, required: !field.nullable && field.kind !== "password" }));
}

/** The patch. `start` and `raw`: what the form held and holds; `data`: the document. */
export function changesOf(fields, start, raw, data) {
  const changes = {};
  for (const field of fields) {
    const [before, now] = [start[field.name], raw[field.name]];
    if (JSON.stringify(before) === JSON.stringify(now)) continue;
    const value = fromRaw(field, now);
    if (value === null && !field.nullable) continue;
    changes[field.name] = field.kind === "object" ? merged(data[field.name], value) : value;
  }
  return changes;
}

/** The object, with null for what it had and has no more: a patch leaves out what stays. */
function merged(before, value) {
  if (!before || !value) return value;
  const gone = Object.keys(before).filter((name) => !(name in value));
  return { ...Object.fromEntries(gone.map((name) => [name, null])), ...value };
}
