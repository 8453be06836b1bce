// How a value is shown, and how it is written into a form and read out of it, by its field's kind.
import { html } from "./html.js";
import * as i18n from "./i18n/index.js";
import { t } from "./i18n/index.js";

const MOST = 3; // items of a list that a cell shows

/** A value, for people. Text is text, whatever it holds; it does not change what stands around. */
export function Value({ field, value }) {
  if (value === null || value === undefined || value === "") {
    return html`<span class="nothing" aria-label=${t("value.none")}>–</span>`;
  }
  switch (field.kind) {
    case "boolean":
      return value ? t("value.yes") : t("value.no");
    case "choice":
      return html`<span class="badge" data-value=${value}>${i18n.valueName(value)}</span>`;
    case "integer":
    case "number":
      return i18n.number(value);
    case "time":
      return html`<time datetime=${value} title=${value}>${i18n.time(value)}</time>`;
    case "date":
      return html`<time datetime=${value}>${i18n.date(value)}</time>`;
    case "id":
      return html`<code class="id" title=${value}>${value}</code>`;
    case "list":
      return html`<${List} field=${field} values=${value} />`;
    case "object":
      return field.fields.map(
        (one) => html`<span class="part">${i18n.fieldName(one.name)}: <${Value} field=${one}
          value=${value[one.name]} /></span>`,
      );
    case "file":
      return html`<bdi>${value.name}</bdi> <small>${i18n.bytes(value.size)}</small>`;
    default:
      return html`<bdi>${String(value)}</bdi>`;
  }
}

function List({ field, values }) {
  if (values.length === 0) return html`<span class="nothing" aria-label=${t("value.none")}>–</span>`;
  const shown = values.slice(0, MOST).map((value) => html`<span class="part">
    <${Value} field=${field.item} value=${value} /></span>`);
  const more = values.length - MOST;
  return more > 0 ? [...shown, t("value.more", { count: more })] : shown;
}

/** What a form holds of a value: text for what is typed, and the like of it for lists and objects. */
export function toRaw(field, value) {
  if (field.kind === "boolean") return value ?? (field.nullable ? "" : false);
  if (field.kind === "list") return (value ?? []).map((one) => toRaw(field.item, one));
  if (field.kind === "object") {
    if ((value === null || value === undefined) && !field.required) return null;
    return rawObject(field.fields, value ?? {});
  }
  if (value === null || value === undefined) return "";
  return field.kind === "time" ? localTime(value) : String(value);
}

/** What a form holds at first: of a document, or of nothing but defaults. */
export function rawObject(fields, values) {
  return Object.fromEntries(
    fields.map((field) => [field.name, toRaw(field, values[field.name] ?? field.schema.default)]),
  );
}

/** The value that a form's entry stands for; null for an empty one. */
export function fromRaw(field, raw) {
  switch (field.kind) {
    case "boolean":
      return raw === "" ? null : raw === true || raw === "true";
    case "integer":
    case "number":
      return raw.trim() === "" ? null : Number(raw);
    case "list":
      return raw.map((one) => fromRaw(field.item, one)).filter((one) => one !== null);
    case "object":
      return raw === null ? null : fromRawObject(field.fields, raw);
    case "time":
      return raw === "" ? null : new Date(raw).toISOString();
    case "file":
      return raw === "" ? null : raw;
    default:
      return raw.trim() === "" ? null : raw;
  }
}

/** The values that a form stands for, without those that are empty. */
export function fromRawObject(fields, raw) {
  const entries = fields.map((field) => [field.name, fromRaw(field, raw[field.name])]);
  return Object.fromEntries(entries.filter(([, value]) => value !== null));
}

/** A time as inputs take it: in the browser's time zone, without naming it. */
export function localTime(value) {
  const at = new Date(value);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** What is wrong with an entry, as {pointer: text}; the API has the last word. */
export function faults(field, raw, pointer, found = {}) {
  if (field.kind === "list") {
    raw.forEach((one, index) => faults(field.item, one, `${pointer}/${index}`, found));
    const { minItems = 0, maxItems = Infinity } = field.schema;
    if (raw.length > maxItems) found[pointer] = t("fault.most", { count: maxItems });
    else if (raw.length < minItems) found[pointer] = t("fault.least", { count: minItems });
  } else if (field.kind === "object") {
    if (raw !== null) faultsOfAll(field.fields, raw, pointer, found);
  } else if (raw === "") {
    if (field.required) found[pointer] = t("fault.required");
  } else if (typeof raw === "string") {
    const fault = faultOf(field, raw);
    if (fault) found[pointer] = fault;
  }
  return found;
}

/** The same for all fields of a form, or of an object in it. */
export function faultsOfAll(fields, raw, pointer = "#", found = {}) {
  for (const field of fields) faults(field, raw[field.name], `${pointer}/${field.name}`, found);
  return found;
}

function faultOf({ kind, schema, required }, raw) {
  if (raw.trim() === "") return required ? t("fault.required") : null;
  const length = [...raw].length; // in characters, as the API counts
  if (kind === "integer" && !/^[+-]?\d+$/.test(raw.trim())) return t("fault.integer");
  if (kind === "number" && !Number.isFinite(Number(raw))) return t("fault.number");
  if (kind === "integer" || kind === "number") {
    if (Number(raw) < schema.minimum) return t("fault.minimum", { limit: schema.minimum });
    if (Number(raw) > schema.maximum) return t("fault.maximum", { limit: schema.maximum });
  } else if (kind === "id") {
    return /^[0-9a-f]{24}$/i.test(raw.trim()) ? null : t("fault.id");
  } else if (length < schema.minLength) {
    return t("fault.shortest", { count: schema.minLength });
  } else if (length > schema.maxLength) {
    return t("fault.longest", { count: schema.maxLength });
  } else if (kind === "email" && !/^[^@\s]+@[^@\s]+$/.test(raw.trim())) {
    return t("fault.email");
  }
  return null;
}
