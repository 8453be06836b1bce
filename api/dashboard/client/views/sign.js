// How people come in: sign in, sign up; and the password once more, where a log-in must be fresh.
import { PREFIX, call, logIn, onFreshLogIn } from "../api.js";
import { bodyAt, open, resources } from "../description.js";
import { Dialog } from "../dialog.js";
import { Form } from "../form.js";
import { html, useEffect, useState } from "../html.js";
import { resourceName, t } from "../i18n/index.js";
import { address } from "../router.js";
import * as session from "../session.js";
import { rawObject } from "../values.js";

const PASSWORD = { name: "password", kind: "password", required: true, schema: {} };
const NAME = { name: "name", kind: "line", required: true, schema: {} };
const REASONS = new Set(["out", "expired", "ended", "password"]);

/** E-mail or national id, whichever was entered, and the password. */
const credentials = ({ name, password }) =>
  name.includes("@") ? { email: name.trim(), password } : { national_id: name.trim(), password };

export function SignInView({ query, onSignedIn }) {
  const reason = [...query.keys()].find((one) => REASONS.has(one));
  const signIn = async (raw) => {
    await logIn(credentials(raw));
    session.announce();
    await onSignedIn();
  };
  const public_ = Object.values(resources()).filter(({ operations }) => open(operations.create));
  return html`<div class="narrow card">
    <h1 tabindex="-1">${t("sign-in")}</h1>
    ${reason && html`<p class="notice" role="status">${t(`sign-in.${reason}`)}</p>`}
    <${Form} fields=${[NAME, PASSWORD]} start=${{ name: "", password: "" }} verb=${t("sign-in")}
      labels=${{ name: t("sign-in.name") }} onSend=${signIn}
      autocomplete=${{ name: "username", password: "current-password" }} />
    <p><a href=${address(["auth", "sign-up"])}>${t("sign-up")}</a></p>
    ${public_.map(({ name }) => html`<p key=${name}><a href=${address([name, "new"])}>
      ${t("create.public", { resource: resourceName(name) })}</a></p>`)}
  </div>`;
}

export function SignUpView({ onSignedIn }) {
  const { fields } = bodyAt("/auth/signup");
  const signUp = async (raw) => {
    const entries = Object.entries(raw).filter(([, value]) => value !== "");
    const body = Object.fromEntries(entries);
    await call("POST", `${PREFIX}/auth/signup`, { body });
    await logIn({ email: body.email, password: body.password });
    session.announce();
    await onSignedIn();
  };
  return html`<div class="narrow card">
    <h1 tabindex="-1">${t("sign-up")}</h1>
    <${Form} fields=${fields} start=${rawObject(fields, {})} verb=${t("sign-up")} onSend=${signUp}
      autocomplete=${{ password: "new-password", address: "street-address", occupation: "organization-title" }} />
    <p><a href=${address(["auth", "sign-in"])}>${t("sign-in")}</a></p>
  </div>`;
}

/** Asks for the password where the API wants a fresh log-in; the request is then repeated. */
export function FreshLogIn() {
  const [answered, setAnswered] = useState(null); // what is called with whether it was done
  useEffect(() => onFreshLogIn(() => new Promise((resolve) => setAnswered(() => resolve))), []);
  if (!answered) return null;
  const end = (done) => {
    setAnswered(null);
    answered(done);
  };
  const signIn = async ({ password }) => {
    await logIn({ email: session.me().email, password });
    end(true);
  };
  return html`<${Dialog} title=${t("fresh.title")} onClose=${() => end(false)}>
    <p>${t("fresh.text")}</p>
    <${Form} fields=${[PASSWORD]} start=${{ password: "" }} verb=${t("sign-in")} onSend=${signIn} username=${session.me().email}
      onCancel=${() => end(false)} autocomplete=${{ password: "current-password" }} />
  </${Dialog}>`;
}

export async function signOut() {
  await call("POST", `${PREFIX}/auth/logout`);
  session.end("out");
}

