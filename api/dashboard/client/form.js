// A form made of fields: it checks what can be checked here, sends, and shows at each field what
// the API found wrong with it.
import { Field } from "./fields.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { fieldName, t } from "./i18n/index.js";
import { faultsOfAll } from "./values.js";

/**
 * `onSend` gets what the form holds, and raises Problem where that is refused. `start`: what it
 * holds at first. `labels`, `autocomplete`: by a field's name, where the usual is not meant.
 * `username`: whose password is asked for, for what keeps passwords.
 */
export function Form({ fields, start, verb, onSend, onCancel, labels = {}, autocomplete = {}, username }) {
  const [raw, setRaw] = useState(start);
  const [errors, setErrors] = useState({});
  const [refused, setRefused] = useState(null);
  const [busy, setBusy] = useState(false);
  const form = useRef(null);
  const summary = useRef(null);

  useEffect(() => {
    if (refused || Object.keys(errors).length) summary.current?.focus();
  }, [errors, refused]);

  const send = async (event) => {
    event.preventDefault();
    if (busy) return;
    const found = faultsOfAll(fields, raw);
    setRefused(null);
    setErrors(found);
    if (Object.keys(found).length) return;
    setBusy(true);
    try {
      await onSend(raw);
    } catch (problem) {
      if (problem.status === undefined) throw problem;
      setErrors(Object.fromEntries(problem.errors.map((one) => [one.pointer ?? "#", one.detail])));
      setRefused(problem);
    } finally {
      setBusy(false);
    }
  };
  const jump = (pointer) => form.current.querySelector(`[data-pointer="${CSS.escape(pointer)}"]`)?.focus();

  return html`<form class="form" ref=${form} onSubmit=${send} noValidate>
    ${(refused || Object.keys(errors).length > 0) && html`
      <div class="summary" role="alert" tabindex="-1" ref=${summary}>
        <strong><bdi>${refused?.message ?? t("form.faults", { count: Object.keys(errors).length })}</bdi></strong>
        <${Faults} errors=${errors} jump=${jump} />
      </div>`}
    ${username && html`<input type="text" autocomplete="username" value=${username} readonly hidden />`}
    ${fields.map((field) => html`<${Field} field=${field} key=${field.name} raw=${raw[field.name]}
      errors=${errors} pointer=${`#/${field.name}`} label=${labels[field.name]}
      autocomplete=${autocomplete[field.name]}
      onChange=${(value) => setRaw((all) => ({ ...all, [field.name]: value }))} />`)}
    <div class="actions">
      ${onCancel && html`<button type="button" onClick=${onCancel}>${t("cancel")}</button>`}
      <button type="submit" class="main" aria-disabled=${busy}>${busy ? t("sending") : verb}</button>
    </div>
  </form>`;
}

function Faults({ errors, jump }) {
  return html`<ul>
    ${Object.entries(errors).map(([pointer, text]) => html`<li>
      ${pointer === "#" ? html`<bdi>${text}</bdi>` : html`<button type="button" class="link"
        onClick=${() => jump(pointer)}>${spoken(pointer)}: <bdi>${text}</bdi></button>`}
    </li>`)}
  </ul>`;
}

/** `#/lines/2/count` as `Lines 3 Count`. */
function spoken(pointer) {
  const parts = pointer.slice(2).split("/");
  return parts.map((part) => (/^\d+$/.test(part) ? Number(part) + 1 : fieldName(part))).join(" ");
}
