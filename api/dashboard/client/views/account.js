// One's own account: data, password, e-mail address, sessions, and its end.
import { PREFIX, call } from "../api.js";
import { changesOf, editable } from "../changes.js";
import { bodyAt, bodyOf, resources } from "../description.js";
import { Question } from "../dialog.js";
import { Form } from "../form.js";
import { html, useCallback, useEffect, useMemo, useState } from "../html.js";
import { t, time } from "../i18n/index.js";
import { complain, say } from "../messages.js";
import * as session from "../session.js";
import { rawObject } from "../values.js";
import { signOut } from "./sign.js";

const ELSEWHERE = new Set(["email", "password", "role", "disabled"]); // changed by other ways

export function AccountView() {
  const [me, setMe] = useState(session.me());
  return html`
    <header class="title">
      <h1 tabindex="-1">${t("account")}</h1>
      <div class="actions"><button type="button" onClick=${() => signOut().catch(complain)}>${t("sign-out")}</button></div>
    </header>
    <div class="columns">
      <${Data} me=${me} setMe=${setMe} key=${me.version} />
      <div>
        <${Email} me=${me} setMe=${setMe} />
        <${Password} me=${me} />
      </div>
    </div>
    <${Sessions} />
    <${Deletion} me=${me} />`;
}

function Data({ me, setMe }) {
  const { path, operations } = resources().users;
  const fields = useMemo(() => editable(bodyOf(operations.change).fields.filter((field) => !ELSEWHERE.has(field.name))), []);
  const start = rawObject(fields, me);
  const save = async (raw) => {
    const body = changesOf(fields, start, raw, me);
    if (Object.keys(body).length === 0) return say(t("document.unchanged"));
    const headers = { "If-Match": `"${me.version}"` };
    const { data } = await call("PATCH", `${path}/${me.id}`, { body, headers });
    session.setMe(data);
    setMe(data);
    say(t("saved"));
  };
  return html`<section class="card"><h2>${t("account.data")}</h2>
    <${Form} fields=${fields} start=${start} verb=${t("save")} onSend=${save} /></section>`;
}

function Email({ me, setMe }) {
  const { fields } = bodyAt("/auth/email");
  const change = async (body) => {
    const { data } = await call("POST", `${PREFIX}/auth/email`, { body });
    session.setMe(data);
    setMe(data);
    say(t("saved"));
  };
  return html`<section class="card"><h2>${t("account.email")}</h2>
    <p><bdi>${me.email}</bdi></p>
    <${Form} key=${me.email} fields=${fields} start=${rawObject(fields, {})} verb=${t("account.email")} onSend=${change} username=${me.email}
      autocomplete=${{ current_password: "current-password" }} /></section>`;
}

function Password({ me }) {
  const { fields } = bodyAt("/auth/password");
  const change = async (body) => {
    await call("POST", `${PREFIX}/auth/password`, { body });
    session.end("password"); // it ended every session
  };
  return html`<section class="card"><h2>${t("account.password")}</h2>
    <p>${t("account.password.text")}</p>
    <${Form} fields=${fields} start=${rawObject(fields, {})} verb=${t("account.password")} onSend=${change} username=${me.email}
      autocomplete=${{ current_password: "current-password", new_password: "new-password" }} /></section>`;
}

function Sessions() {
  const [items, setItems] = useState([]);
  const read = useCallback(
    () => call("GET", `${PREFIX}/auth/sessions`).then(({ data }) => setItems(data.items), complain), []);
  useEffect(() => void read(), [read]);
  const revoke = async (one) => {
    try {
      await call("DELETE", `${PREFIX}/auth/sessions/${one.id}`);
      if (one.current) return session.end("out");
      say(t("sessions.revoked"));
    } catch (problem) {
      complain(problem);
    }
    return read();
  };
  const all = () => call("POST", `${PREFIX}/auth/logout-all`).then(() => session.end("out"), complain);
  return html`<section class="card"><h2>${t("sessions")}</h2>
    <ul class="sessions">${items.map((one) => html`<li key=${one.id}>
      <span><bdi>${one.agent}</bdi><br />
        <small>${one.address} · ${t("sessions.used", { time: time(one.used_at) })} · ${t("sessions.ends", { time: time(one.ends_at) })}</small></span>
      ${one.current ? html`<span class="badge">${t("sessions.current")}</span>` : html`<button type="button"
        aria-label=${t("sessions.revoke-of", { agent: one.agent })} onClick=${() => revoke(one)}>${t("sessions.revoke")}</button>`}
    </li>`)}</ul>
    <div class="actions"><button type="button" onClick=${all}>${t("sessions.all")}</button></div>
  </section>`;
}

function Deletion({ me }) {
  const [asking, setAsking] = useState(false);
  if (session.isAdmin()) return null; // administrators cannot delete themselves
  const remove = async () => {
    setAsking(false);
    try {
      await call("DELETE", `${resources().users.path}/${me.id}`);
      session.end("ended");
    } catch (problem) {
      complain(problem);
    }
  };
  return html`<section class="card"><h2>${t("account.delete")}</h2>
    <p>${t("account.delete.text")}</p>
    <button type="button" class="danger" onClick=${() => setAsking(true)}>${t("account.delete")}</button>
    ${asking && html`<${Question} title=${t("account.delete")} text=${t("account.delete.text")}
      verb=${t("delete")} onYes=${remove} onNo=${() => setAsking(false)} />`}
  </section>`;
}
