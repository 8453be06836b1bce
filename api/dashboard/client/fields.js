// The inputs of a form, by the kinds of its fields; lists and objects have inputs within.
import { html, useId } from "./html.js";
import { fieldName, t, valueName } from "./i18n/index.js";
import { toRaw } from "./values.js";

const TYPES = {
  email: "email",
  phone: "tel",
  password: "password",
  date: "date",
  time: "datetime-local",
};
const AUTOCOMPLETE = { email: "email", phone: "tel", name: "name" };

/**
 * One field with its label, hint and error. `raw`: what the form holds of it; `errors`: texts by
 * pointer; `onChange` gets what it shall hold. `empty`: what having chosen nothing is called.
 */
export function Field({ field, raw, onChange, errors, pointer, label, autocomplete, empty }) {
  const id = useId();
  const name = label ?? fieldName(field.name);
  if (field.kind === "list" || field.kind === "object") {
    const Group = field.kind === "list" ? List : Inner;
    return html`<fieldset class="group">
      <legend>${name}</legend>
      <${Group} ...${{ field, raw, onChange, errors, pointer, name }} />
      <${Fault} id=${id} text=${errors[pointer]} />
    </fieldset>`;
  }
  const hint = hintOf(field, raw);
  const fault = errors[pointer];
  const told = [hint && `${id}-hint`, fault && `${id}-fault`].filter(Boolean).join(" ");
  const common = {
    id,
    name: field.name,
    "data-pointer": pointer,
    "aria-describedby": told || undefined,
    "aria-invalid": fault ? "true" : undefined,
    "aria-required": field.required ? "true" : undefined,
    autocomplete: autocomplete ?? AUTOCOMPLETE[field.name] ?? AUTOCOMPLETE[field.kind] ?? "off",
  };
  const marked = !field.required && field.kind !== "boolean" && empty === undefined;
  return html`<div class=${`field ${field.kind}`}>
    <label for=${id}>${name}${marked && html` <small>${t("optional")}</small>`}</label>
    <${Input} ...${{ field, raw, onChange, common, empty }} />
    ${hint && html`<small class="hint" id=${`${id}-hint`}>${hint}</small>`}
    <${Fault} id=${id} text=${fault} />
  </div>`;
}

function Fault({ id, text }) {
  return text ? html`<span class="fault" id=${`${id}-fault`}><bdi>${text}</bdi></span>` : null;
}

function hintOf({ kind, schema }, raw) {
  if (kind === "file") return t("hint.file", { types: extensions(schema.contentMediaType) });
  if (kind === "password" && schema.minLength) return t("hint.password", schema);
  const example = raw === "" ? schema.examples?.[0] : null; // what is there is an example itself
  return typeof example === "string" && kind !== "id" && kind !== "password"
    ? t("hint.example", { example })
    : null;
}

const KNOWN_TYPES = { pdf: "PDF", wordprocessingml: "DOCX", opendocument: "ODT" };

function extensions(types = "") {
  const known = types.split(",").map((type) => {
    const name = Object.keys(KNOWN_TYPES).find((one) => type.includes(one));
    return name ? KNOWN_TYPES[name] : type.trim();
  });
  return known.join(", ");
}

function Input({ field, raw, onChange, common, empty = t("choose") }) {
  const typed = (event) => onChange(event.target.value);
  switch (field.kind) {
    case "paragraphs":
      return html`<textarea ...${common} rows="4" value=${raw} onInput=${typed}></textarea>`;
    case "boolean":
      if (field.nullable) break;
      return html`<input type="checkbox" ...${common} checked=${raw === true}
        onChange=${(event) => onChange(event.target.checked)} />`;
    case "file":
      return html`<input type="file" ...${common} accept=${field.schema.contentMediaType}
        onChange=${(event) => onChange(event.target.files[0] ?? "")} />`;
    case "choice":
      break;
    case "integer":
    case "number":
      return html`<input type="text" inputmode=${field.kind === "integer" ? "numeric" : "decimal"}
        ...${common} value=${raw} onInput=${typed} />`;
    default:
      return html`<input type=${TYPES[field.kind] ?? "text"} ...${common} value=${raw}
        step=${field.kind === "time" ? 1 : undefined} dir="auto" onInput=${typed} />`;
  }
  const choices = field.kind === "boolean" ? ["true", "false"] : field.choices;
  const spoken = (one) => (field.kind === "boolean" ? t(`value.${one === "true" ? "yes" : "no"}`) : valueName(one));
  return html`<select ...${common} value=${String(raw)} onChange=${typed}>
    ${(!field.required || raw === "") && html`<option value="">${empty}</option>`}
    ${choices.map((one) => html`<option value=${String(one)}>${spoken(one)}</option>`)}
  </select>`;
}

function List({ field, raw, onChange, errors, pointer, name }) {
  const put = (index, value) => onChange(raw.map((one, at) => (at === index ? value : one)));
  return html`
    ${raw.map((one, index) => html`<div class="item" key=${index}>
      <${Field} field=${{ ...field.item, required: true }} raw=${one} errors=${errors}
        pointer=${`${pointer}/${index}`} label=${t("list.item", { name, number: index + 1 })}
        onChange=${(value) => put(index, value)} />
      <button type="button" class="plain" aria-label=${t("list.remove", { name, number: index + 1 })}
        onClick=${() => onChange(raw.filter((_, at) => at !== index))}>×</button>
    </div>`)}
    <button type="button" onClick=${() => onChange([...raw, toRaw(field.item, undefined)])}>
      ${t("list.add")}
    </button>`;
}

function Inner({ field, raw, onChange, errors, pointer }) {
  if (raw === null) {
    return html`<button type="button" onClick=${() => onChange(toRaw({ ...field, required: true }))}>
      ${t("list.add")}
    </button>`;
  }
  return html`
    ${field.fields.map((one) => html`<${Field} field=${one} raw=${raw[one.name]} errors=${errors}
      key=${one.name} pointer=${`${pointer}/${one.name}`}
      onChange=${(value) => onChange({ ...raw, [one.name]: value })} />`)}
    ${!field.required && html`<button type="button" onClick=${() => onChange(null)}>
      ${t("list.take")}
    </button>`}`;
}
