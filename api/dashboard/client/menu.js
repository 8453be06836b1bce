// A panel that a button opens and that closes by itself: by Escape, by leaving it, by sending it.
import { html, useRef } from "./html.js";

/** `children`: what is in the panel, as a function of what closes it. */
export function Menu({ label, children }) {
  const element = useRef(null);
  const close = () => {
    element.current.open = false;
    element.current.querySelector("summary").focus();
  };
  const escaped = ({ key }) => {
    if (key === "Escape" && element.current.open) close();
  };
  const left = ({ relatedTarget }) => {
    if (relatedTarget && !element.current.contains(relatedTarget)) element.current.open = false;
  };
  return html`<details class="menu" ref=${element} onKeyDown=${escaped} onFocusOut=${left}>
    <summary>${label}</summary>
    ${children(close)}
  </details>`;
}
