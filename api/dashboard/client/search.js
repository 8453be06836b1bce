// Search as people do it: an id, an e-mail address, or how a name begins, in one box.
import { call } from "./api.js";
import { filtersOf } from "./description.js";
import { html, useId, useState } from "./html.js";
import { oneOf, t } from "./i18n/index.js";
import { complain } from "./messages.js";
import { address, go } from "./router.js";

const ID = /^[0-9a-f]{24}$/i;

/** What a text looks for: {id}, or the parameters of a list. */
function meaning(text, filters) {
  if (ID.test(text)) return { id: text.toLowerCase() };
  const by = (name) => filters.find((filter) => filter.name === name);
  const email = by("email");
  if (text.includes("@") && email) {
    return { parameters: { [email.operators.includes("prefix") ? "email[prefix]" : "email"]: text } };
  }
  const named = namedBy(filters);
  return named ? { parameters: { [`${named.name}[prefix]`]: text } } : {};
}

/** The first text by whose beginning the list is filtered. */
function namedBy(filters) {
  return filters.find(({ name, operators }) => name !== "email" && operators.includes("prefix"));
}

export function Search({ resource, show }) {
  const id = useId();
  const [text, setText] = useState("");
  const filters = filtersOf(resource.operations.list);
  const email = filters.some((filter) => filter.name === "email");
  const search = async (event) => {
    event.preventDefault();
    const found = meaning(text.trim(), filters);
    if (found.parameters) return show(found.parameters);
    if (!found.id || !resource.operations.get) return complain(new Error(t("search.not-an-id")));
    try {
      await call("GET", `${resource.path}/${found.id}`);
      go(address([resource.name, found.id]));
    } catch (problem) {
      complain(problem);
    }
  };
  const ways = [t("search.id"), email && t("search.email"), namedBy(filters) && t("search.name")];
  return html`<form role="search" class="search" onSubmit=${search}>
    <label for=${id} class="hidden">${t("search")}</label>
    <input id=${id} type="search" placeholder=${oneOf(ways.filter(Boolean))} value=${text}
      dir="auto" autocomplete="off" required onInput=${(event) => setText(event.target.value)} />
    <button type="submit">${t("search")}</button>
  </form>`;
}
