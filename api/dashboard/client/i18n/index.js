// The language: every text that people read, and how numbers and times are written.

export const LANGUAGES = { en: "English", es: "Español" };
const KEPT = "shardstack.language";

let texts = {};
let language = "en";
let formats = {};

/** The language of the pages, such as "es". */
export const current = () => language;

/** Use the language that was chosen here before, or else the first of the browser's that we have. */
export function begin() {
  const wanted = [localStorage.getItem(KEPT), ...navigator.languages].map((one) => one?.slice(0, 2));
  return use(wanted.find((one) => one in LANGUAGES) ?? "en");
}

/** Choose a language, for later visits too. */
export async function choose(name) {
  localStorage.setItem(KEPT, name);
  await use(name);
}

async function use(name) {
  texts = (await import(`./${name}.js`)).default;
  language = name;
  formats = {
    number: new Intl.NumberFormat(name, { maximumFractionDigits: 1 }),
    time: new Intl.DateTimeFormat(name, { dateStyle: "medium", timeStyle: "short" }),
    moment: new Intl.DateTimeFormat(name, { timeStyle: "medium" }),
    date: new Intl.DateTimeFormat(name, { dateStyle: "medium", timeZone: "UTC" }),
    choice: new Intl.ListFormat(name, { type: "disjunction" }),
    plural: new Intl.PluralRules(name),
  };
  document.documentElement.lang = name;
}

/** The text of this name. `{x}` in it stands for values.x; `count` chooses between one and other. */
export function t(name, values = {}) {
  const plural = "count" in values ? texts[`${name}.${formats.plural.select(values.count)}`] : null;
  const text = plural ?? texts[`${name}.other`] ?? texts[name];
  if (text === undefined) throw new Error(`there is no text ${name} in the language ${language}`);
  return text.replace(/\{(\w+)\}/g, (_, key) =>
    typeof values[key] === "number" ? number(values[key]) : String(values[key]),
  );
}

/** What people call a name of the API: from the catalogue, or made of the name itself. */
function named(kind, name) {
  return texts[`${kind}.${name}`] ?? spoken(name);
}
export const resourceName = (name) => named("resource", name);
export const fieldName = (name) => named("field", name);
export const valueName = (name) => named("value", name);

/** `starts_on` as "Starts on". */
function spoken(name) {
  const words = String(name).replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const number = (value) => formats.number.format(value);
/** Texts of which one is meant: "a, b or c". */
export const oneOf = (values) => formats.choice.format(values);
/** A time (RFC 3339, or milliseconds since 1970) in the browser's time zone. */
export const time = (value) => formats.time.format(new Date(value));
/** A time of day, with seconds. */
export const moment = (value) => formats.moment.format(new Date(value));
/** A day, `2026-11-27`. */
export const date = (value) => formats.date.format(new Date(`${value}T00:00:00Z`));

/** So many bytes, in the largest unit of which there is one. */
export function bytes(count) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(count || 1) / 3)));
  const options = { style: "unit", unit: units[step], unitDisplay: "short", maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language, options).format(count / 1000 ** step);
}
