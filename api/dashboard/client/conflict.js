// Somebody else changed the document first: both versions, side by side, and a choice for each.
import { Dialog } from "./dialog.js";
import { html, useId, useState } from "./html.js";
import { fieldName, t } from "./i18n/index.js";
import { complain } from "./messages.js";
import { Value } from "./values.js";

/**
 * `mine`: the changes that were not taken; `theirs`: {data} as it is now. `onChoose` gets the
 * changes that are still wanted.
 */
export function Conflict({ mine, theirs, fields, onChoose, onClose }) {
  const names = Object.keys(mine);
  const [kept, setKept] = useState(() => Object.fromEntries(names.map((name) => [name, true])));
  const [busy, setBusy] = useState(false);
  const group = useId();
  const save = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const wanted = names.filter((name) => kept[name]).map((name) => [name, mine[name]]);
      await onChoose(Object.fromEntries(wanted));
    } catch (problem) {
      complain(problem);
    }
    setBusy(false);
  };
  return html`<${Dialog} title=${t("conflict.title")} onClose=${onClose}>
    <form class="form" onSubmit=${save}>
      <p>${t("conflict.text")}</p>
      ${names.map((name) => {
        const field = fields.find((one) => one.name === name);
        const side = (own, value) => html`<label class="side">
          <span><input type="radio" name=${`${group}-${name}`} checked=${kept[name] === own}
            onChange=${() => setKept((before) => ({ ...before, [name]: own }))} />
          ${t(own ? "conflict.mine" : "conflict.theirs")}</span>
          <span class="value"><${Value} field=${field} value=${value} /></span>
        </label>`;
        return html`<fieldset class="sides" key=${name}>
          <legend>${fieldName(name)}</legend>
          ${side(true, field.kind === "password" ? "••••" : mine[name])}
          ${side(false, field.kind === "password" ? null : theirs.data[name])}
        </fieldset>`;
      })}
      <div class="actions">
        <button type="button" onClick=${onClose}>${t("cancel")}</button>
        <button type="submit" class="main" aria-disabled=${busy}>${t("conflict.save")}</button>
      </div>
    </form>
  </${Dialog}>`;
}
