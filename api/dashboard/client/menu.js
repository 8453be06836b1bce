// A panel that a button opens and that closes by itself: by Escape, by leaving it, by sending it.
import { html, useRef } from "./html.js";

export function Menu({ label, children }) {
  const element = useRef(null);
  const close = () => (element.current.open = false);
  const escaped = (event) => {
    if (event.key !== "Escape" || !element.current.open) return;
    close();
    element.current.querySelector("summary").focus();
  };
  const left = ({ relatedTarget }) => {
    if (relatedTarget && !element.current.contains(relatedTarget)) close();
  };
  return html`<details class="menu" ref=${element} onKeyDown=${escaped} onFocusOut=${left} onSubmit=${close}>
    <summary>${label}</summary>
    ${children}
  </details>`;
}
