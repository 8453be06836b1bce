// One document: shown, changed, deleted; and the form that creates one.
import { call, download } from "../api.js";
import { changesOf, editable } from "../changes.js";
import { Conflict } from "../conflict.js";
import { bodyOf, offered, open } from "../description.js";
import { Question } from "../dialog.js";
import { Form } from "../form.js";
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../html.js";
import { fieldName, resourceName, t } from "../i18n/index.js";
import { useChanges } from "../live.js";
import { complain, say } from "../messages.js";
import { address, go } from "../router.js";
import * as session from "../session.js";
import { Value, fromRawObject, rawObject } from "../values.js";
import { Refused } from "./list.js";

const MULTIPART = "multipart/form-data";

export function CreateView({ resource }) {
  const { name, operations, path } = resource;
  const { media, fields } = useMemo(() => bodyOf(operations.create), [operations.create]);
  const key = useRef({}); // the same text is created once, however often it is sent
  const [thanks, setThanks] = useState(false);
  const create = async (raw) => {
    const values = fromRawObject(fields, raw);
    const text = JSON.stringify(values);
    if (key.current.text !== text || media === MULTIPART) key.current = { text, key: crypto.randomUUID() };
    const headers = { "Idempotency-Key": key.current.key };
    const body = media === MULTIPART ? formOf(values) : values;
    const { data } = await call("POST", path, { body, headers });
    if (session.me() === null || !offered(operations.get)) return setThanks(true);
    say(t("created"));
    go(address([name, data.id]), { replace: true });
  };
  if (thanks) return html`<h1 tabindex="-1">${t("thanks")}</h1><p>${t("thanks.more")}</p>`;
  return html`
    <h1 tabindex="-1">${t("create.title", { resource: resourceName(name) })}</h1>
    <div class="card"><${Form} fields=${fields} start=${rawObject(fields, {})} verb=${t("create")} onSend=${create}
      onCancel=${() => go(address(open(operations.create) && !session.me() ? [] : [name]))} /></div>`;
}

function formOf(values) {
  const form = new FormData();
  for (const [name, value] of Object.entries(values)) form.append(name, value);
  return form;
}

export function DocumentView({ resource, id }) {
  const { name, path, operations } = resource;
  const [found, setFound] = useState(null); // {data, etag}
  const [problem, setProblem] = useState(null);
  const [newer, setNewer] = useState(false);
  const [gone, setGone] = useState(false);
  const url = `${path}/${id}`;
  const read = useCallback(async () => {
    try {
      setFound(await call("GET", url));
      setProblem(null);
      setNewer(false);
    } catch (caught) {
      if (caught.status === undefined) throw caught;
      setProblem(caught);
    }
  }, [url]);
  useEffect(() => {
    setFound(null);
    read();
  }, [read]);
  const look = useCallback(async () => {
    const now = await call("GET", url).catch(() => null);
    setFound((before) => {
      if (now && before && now.etag !== before.etag) setNewer(true);
      return before;
    });
  }, [url]);
  const matters = useCallback((change) => {
    if (change.id && change.id !== id) return false;
    setGone(change.verb === "delete");
    return change.verb !== "delete";
  }, [id]);
  useChanges(name, look, matters);

  const ready = !problem && found !== null;
  const title = ready ? (found.data.name ?? found.data.title ?? found.data.email ?? id) : id;
  return html`
    <p class="trail"><a href=${address([name])}>${resourceName(name)}</a></p>
    <header class="title">
      <h1 tabindex="-1"><bdi>${title}</bdi></h1>
      ${ready && html`<${Deeds} ...${{ resource, found, url, read, title }} />`}
    </header>
    ${problem && html`<${Refused} problem=${problem} again=${read} />`}
    ${!problem && !ready && html`<p class="empty" role="status">${t("loading")}</p>`}
    ${ready && gone && html`<p class="notice" role="status">${t("document.gone")}</p>`}
    ${ready && newer && !gone && html`<p class="notice" role="status">${t("document.newer")}
      <button type="button" onClick=${read}>${t("document.show-newer")}</button></p>`}
    ${ready && html`<div class="columns">
      ${offered(operations.change) && html`<${Edit} ...${{ resource, found, url, setFound, read }} key=${found.etag} />`}
      <${Facts} resource=${resource} data=${found.data} url=${url} />
    </div>`}`;
}

/** What the form for changes does not have. */
function Facts({ resource, data, url }) {
  const { operations, columns } = resource;
  const edited = offered(operations.change) ? editedBy(operations.change) : new Set();
  return html`<section class="card" aria-label=${t("document.more")}>
    <dl>${columns.filter((column) => !edited.has(column.name)).map((column) => html`<div key=${column.name}>
      <dt>${fieldName(column.name)}</dt>
      <dd><${Value} field=${column} value=${data[column.name]} />
        ${column.kind === "file" && data[column.name] && html` <button type="button"
          onClick=${() => download(`${url}/${column.name}`).catch(complain)}>${t("open")}</button>`}
      </dd></div>`)}</dl>
  </section>`;
}

/** The names of the fields that the form for changes has; one has a button instead. */
const changeable = (operation) => editable(bodyOf(operation).fields).filter(({ name }) => name !== "disabled");
const editedBy = (operation) => new Set(changeable(operation).map(({ name }) => name));

function Deeds({ resource, found, url, read, title }) {
  const { name, operations } = resource;
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const own = name === "users" && session.me()?.id === found.data.id;
  const disabling = offered(operations.change) && !own &&
    bodyOf(operations.change).fields.some((field) => field.name === "disabled");
  const attempt = async (work) => {
    setBusy(true);
    try {
      await work();
    } catch (problem) {
      complain(problem);
    }
    setBusy(false);
    setAsking(false);
  };
  const disable = () => attempt(async () => {
    const body = { disabled: !found.data.disabled };
    await call("PATCH", url, { body, headers: { "If-Match": found.etag } });
    say(t("saved"));
    await read();
  });
  const remove = () => attempt(async () => {
    await call("DELETE", url, { headers: { "If-Match": found.etag } });
    say(t("deleted"));
    go(address([name]), { replace: true });
  });
  return html`<div class="actions">
    ${disabling && html`<button type="button" onClick=${disable} disabled=${busy}>
      ${t(found.data.disabled ? "enable" : "disable")}</button>`}
    ${offered(operations.delete) && !own && html`<button type="button" class="danger"
      onClick=${() => setAsking(true)}>${t("delete")}</button>`}
    ${asking && html`<${Question} title=${t("delete.title")} text=${t("delete.text", { what: title })}
      verb=${t("delete")} busy=${busy} onYes=${remove} onNo=${() => setAsking(false)} />`}
  </div>`;
}

function Edit({ resource, found, url, setFound, read }) {
  const fields = useMemo(() => changeable(resource.operations.change), [resource.operations.change]);
  const start = useMemo(() => rawObject(fields, found.data), [fields, found]);
  const [conflict, setConflict] = useState(null); // {mine: changes, theirs: {data, etag}}
  const write = async (changes, etag) => {
    setFound(await call("PATCH", url, { body: changes, headers: { "If-Match": etag } }));
    say(t("saved"));
  };
  const meet = async (changes, etag) => {
    try {
      await write(changes, etag);
      setConflict(null);
    } catch (problem) {
      const moved = problem.status === 412 || problem.kind === "version-moved";
      if (!moved) throw problem;
      setConflict({ mine: changes, theirs: await call("GET", url) });
    }
  };
  const save = async (raw) => {
    const changes = changesOf(fields, start, raw, found.data);
    if (Object.keys(changes).length === 0) return say(t("document.unchanged"));
    await meet(changes, found.etag);
  };
  return html`<section class="card" aria-label=${t("edit")}>
    <${Form} fields=${fields} start=${start} verb=${t("save")} onSend=${save} />
    ${conflict && html`<${Conflict} ...${conflict} fields=${fields} key=${conflict.theirs.etag}
      onChoose=${(changes) => (Object.keys(changes).length ? meet(changes, conflict.theirs.etag) : read())}
      onClose=${() => setConflict(null)} />`}
  </section>`;
}
