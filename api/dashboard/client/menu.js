// A panel that a button opens and that closes by itself: by Escape, by leaving it, by sending it.
import { html, useEffect, useRef } from "./html.js";

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
  // A click into the panel may give the focus to what is around it: that is not leaving it.
  const left = ({ relatedTarget: to }) => {
    const around = to?.contains(element.current);
    if (to && !around && !element.current.contains(to)) element.current.open = false;
  };
  useEffect(() => {
    const clicked = ({ target }) => {
      if (!element.current.contains(target)) element.current.open = false;
    };
    document.addEventListener("pointerdown", clicked);
    return () => document.removeEventListener("pointerdown", clicked);
  }, []);
  return html`<details class="menu" ref=${element} onKeyDown=${escaped} onFocusOut=${left}>
    <summary>${label}</summary>
    ${children(close)}
  </details>`;
}
