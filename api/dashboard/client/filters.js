// By what a list is filtered, as the API offers it: equal to, from and to, beginning with.
import { filtersOf } from "./description.js";
import { Field } from "./fields.js";
import { html, useEffect, useState } from "./html.js";
import { fieldName, t } from "./i18n/index.js";
import { Menu } from "./menu.js";
import { faults, fromRaw, toRaw } from "./values.js";

/** The inputs that a filter has: [{parameter, field, label}] */
function inputsOf({ name, operators, field }) {
  const input = (operator, label, kind = field.kind) => ({
    parameter: operator === "eq" ? name : `${name}[${operator}]`,
    field: { ...field, kind, required: false, nullable: true, schema: schemaFor(operator, field) },
    label,
  });
  if (operators.includes("gte") && operators.includes("lte")) {
    const spoken = { name: fieldName(name) };
    return [input("gte", t("filters.from", spoken)), input("lte", t("filters.to", spoken))];
  }
  if (operators.includes("prefix")) return [input("prefix", fieldName(name), "line")];
  return [input("eq", fieldName(name))];
}

const schemaFor = (operator, { schema }) =>
  operator === "prefix" ? { maxLength: 200 } : { ...schema, examples: undefined };

/** The names of all parameters that filter. */
const parametersOf = (operation) => filtersOf(operation).flatMap(({ name, operators }) =>
  operators.map((operator) => (operator === "eq" ? name : `${name}[${operator}]`)));

/** How many filters a list's address has. */
const active = (operation, query) => parametersOf(operation).filter((name) => query.has(name)).length;

export const isFiltered = (operation, query) => active(operation, query) > 0;

export function Filters({ operation, query, show }) {
  const all = filtersOf(operation).flatMap(inputsOf);
  const present = () => Object.fromEntries(all.map(({ parameter, field }) =>
    [parameter, toRaw(field, query.get(parameter))]));
  const [raw, setRaw] = useState(present);
  const [errors, setErrors] = useState({});
  useEffect(() => setRaw(present()), [String(query)]);
  const apply = (event) => {
    event.preventDefault();
    const found = {};
    for (const { parameter, field } of all) faults(field, raw[parameter], parameter, found);
    setErrors(found);
    if (Object.keys(found).length) return false;
    show(Object.fromEntries(all.map(({ parameter, field }) => [parameter, fromRaw(field, raw[parameter])])));
    return true;
  };
  const clear = () => {
    setErrors({});
    show(Object.fromEntries(parametersOf(operation).map((name) => [name, null])));
  };
  const count = active(operation, query);
  if (all.length === 0) return null;
  return html`<${Menu} label=${count ? t("filters.active", { count }) : t("filters")}>${(close) => html`
    <form class="panel filters" onSubmit=${(event) => apply(event) && close()} noValidate>
      ${all.map(({ parameter, field, label }) => html`<${Field} key=${parameter} field=${field}
        raw=${raw[parameter]} label=${label} errors=${errors} pointer=${parameter} empty=${t("filters.any")}
        onChange=${(value) => setRaw((before) => ({ ...before, [parameter]: value }))} />`)}
      <div class="actions">
        <button type="button" onClick=${clear}>${t("filters.clear")}</button>
        <button type="submit" class="main">${t("filters.apply")}</button>
      </div>
    </form>`}
  </${Menu}>`;
}
