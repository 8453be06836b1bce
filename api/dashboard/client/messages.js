// What the pages have to say about what was just done: read aloud, and shown for a while.
import { html, useEffect, useState } from "./html.js";
import { t } from "./i18n/index.js";

const SECONDS = 8;
let show = () => {};
let last = 0;

/** Tell that something was done. */
export const say = (text) => show({ text, bad: false });

/** Tell that something went wrong; it stays until it is closed. */
export const complain = (problem) => show({ text: problem.message, bad: true, problem });

/** The last thing that went wrong, for whoever writes to us about it. */
export let lastProblem = null;

export function Messages() {
  const [messages, set] = useState([]);
  const close = (id) => set((all) => all.filter((one) => one.id !== id));
  useEffect(() => {
    show = (message) => {
      const id = ++last;
      if (message.bad) lastProblem = message.problem;
      set((all) => [...all.slice(-2), { ...message, id }]);
      if (!message.bad) setTimeout(() => close(id), SECONDS * 1000);
    };
  }, []);
  const of = (bad) => messages.filter((one) => one.bad === bad).map((one) => html`
    <div class=${bad ? "message bad" : "message"} key=${one.id}>
      <span><bdi>${one.text}</bdi>${one.problem?.requestId && html`
        <small>${t("problem.request", { id: one.problem.requestId })}</small>`}</span>
      <button type="button" class="plain" onClick=${() => close(one.id)}
        aria-label=${t("close")}>×</button>
    </div>`);
  return html`<div class="messages">
    <div role="status">${of(false)}</div>
    <div role="alert">${of(true)}</div>
  </div>`;
}
