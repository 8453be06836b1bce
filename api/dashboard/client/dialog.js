// A dialog: the browser keeps the focus in it and closes it by Escape; we give the focus back.
import { html, useEffect, useId, useRef } from "./html.js";
import { t } from "./i18n/index.js";

export function Dialog({ title, onClose, children }) {
  const element = useRef(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      if (before.isConnected) before.focus();
    };
  }, []);
  const cancelled = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${element} aria-labelledby=${heading} onCancel=${cancelled}>
    <header>
      <h2 id=${heading}>${title}</h2>
      <button type="button" class="plain" onClick=${onClose} aria-label=${t("close")}>×</button>
    </header>
    ${children}
  </dialog>`;
}

/** A question before something that cannot be undone. */
export function Question({ title, text, verb, onYes, onNo, busy }) {
  return html`<${Dialog} title=${title} onClose=${onNo}>
    <p>${text}</p>
    <div class="actions">
      <button type="button" onClick=${onNo} autofocus>${t("cancel")}</button>
      <button type="button" class="danger" onClick=${onYes} disabled=${busy}>${verb}</button>
    </div>
  </${Dialog}>`;
}
