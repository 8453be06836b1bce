// A line to whoever runs this, from any page: what it is about, and what went wrong last.
import { call } from "./api.js";
import { bodyOf, offered, resources } from "./description.js";
import { Dialog } from "./dialog.js";
import { Form } from "./form.js";
import { html, useState } from "./html.js";
import { t } from "./i18n/index.js";
import { lastProblem, say } from "./messages.js";
import { route } from "./router.js";

/** The page, without ids and without what somebody looked for. */
const page = () => `#/${route().parts.map((part) => (/^[0-9a-f]{24}$/i.test(part) ? "…" : part)).join("/")}`;

export function Feedback() {
  const [asking, setAsking] = useState(false);
  const { feedback } = resources();
  if (!feedback || !offered(feedback.operations.create)) return null;
  const { fields } = bodyOf(feedback.operations.create);
  const shown = fields.filter(({ name }) => name === "message");
  const known = new Set(fields.map(({ name }) => name));
  const send = async ({ message }) => {
    const more = { page: page(), problem: lastProblem?.message?.slice(0, 200) };
    const kept = Object.entries(more).filter(([name, value]) => known.has(name) && value);
    await call("POST", feedback.path, { body: { message, ...Object.fromEntries(kept) } });
    setAsking(false);
    say(t("feedback.thanks"));
  };
  return html`<button type="button" class="link" onClick=${() => setAsking(true)}>${t("feedback")}</button>
    ${asking && html`<${Dialog} title=${t("feedback")} onClose=${() => setAsking(false)}>
      <p>${t("feedback.text")}</p>
      <${Form} fields=${shown.map((field) => ({ ...field, kind: "paragraphs" }))} start=${{ message: "" }}
        verb=${t("feedback.send")} onSend=${send} onCancel=${() => setAsking(false)} />
    </${Dialog}>`}`;
}
