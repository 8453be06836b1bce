// A check-box in a list for what people do with one document after another.
import { call } from "./api.js";
import { offered } from "./description.js";
import { html, useState } from "./html.js";
import { t } from "./i18n/index.js";
import { complain, say } from "./messages.js";

// Which value of which field is what is done: it is set, and never taken back.
const MARKS = {
  leads: { field: "state", done: "reached_out", title: () => t("mark.reached_out") },
  feedback: { field: "state", done: "handled", title: () => t("mark.handled") },
};

/** What is marked in a resource's list, if anything is. */
export const markOf = ({ name, operations }) =>
  Object.hasOwn(MARKS, name) && offered(operations.change) ? MARKS[name] : null;

export function Mark({ mark, resource, item, again }) {
  const [busy, setBusy] = useState(false);
  const done = item[mark.field] === mark.done;
  const set = async () => {
    setBusy(true);
    try {
      const body = { [mark.field]: mark.done };
      await call("PATCH", `${resource.path}/${item.id}`, { body });
      say(t("saved"));
    } catch (problem) {
      complain(problem);
    }
    await again();
    setBusy(false);
  };
  return html`<input type="checkbox" checked=${done || busy} disabled=${done || busy}
    aria-label=${mark.title()} onChange=${set} />`;
}
