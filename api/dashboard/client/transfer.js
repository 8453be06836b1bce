// Import: a file of many documents is sent in parts, and what was refused can be saved.
import { call, saveText } from "./api.js";
import { objects } from "./csv.js";
import { bodyOf } from "./description.js";
import { Dialog } from "./dialog.js";
import { html, useId, useRef, useState } from "./html.js";
import { resourceName, t } from "./i18n/index.js";

const PART = 500; // lines that are sent together
const NDJSON = "application/x-ndjson";

/** The lines of a file, each a JSON text. */
async function linesOf(file, fields) {
  const text = await file.text();
  if (/\.csv$/i.test(file.name) || file.type === "text/csv") {
    return objects(text, fields).map((one) => JSON.stringify(one));
  }
  return text.split("\n").map((line) => line.replace(/\r$/, ""));
}

/** Send the lines part by part. `tell` gets {sent, created, refused} after each. */
async function send(resource, lines, tell, signal) {
  const state = { sent: 0, created: 0, refused: [] };
  for (let first = 0; first < lines.length && !signal.aborted; first += PART) {
    const part = lines.slice(first, first + PART);
    const body = part.join("\n");
    const headers = { "Content-Type": NDJSON };
    if (body.trim() !== "") {
      const { data } = await call("POST", `${resource.path}/import`, { body, headers, signal });
      const report = data.split("\n").filter(Boolean).map((line) => JSON.parse(line));
      state.created += report.pop().created;
      for (const one of report) {
        state.refused.push({ ...one, line: first + one.line, input: part[one.line - 1] });
      }
    }
    state.sent = first + part.length;
    tell({ ...state });
  }
  return state;
}

export function Import({ resource, onClose, onDone }) {
  const id = useId();
  const [file, setFile] = useState(null);
  const [state, setState] = useState(null);
  const stopped = useRef(null);
  const run = async (event) => {
    event.preventDefault();
    if (!file || (state && !state.over)) return;
    const aborting = (stopped.current = new AbortController());
    let last = { sent: 0, total: 0, created: 0, refused: [] };
    const tell = (now) => setState((last = { ...last, ...now }));
    try {
      const lines = await linesOf(file, bodyOf(resource.operations.import).fields);
      tell({ total: lines.length });
      await send(resource, lines, tell, aborting.signal);
      tell({ over: true });
    } catch (problem) {
      if (problem.status === undefined && problem.name !== "AbortError") throw problem;
      tell({ over: true, problem: problem.name === "AbortError" ? null : problem });
    }
    onDone();
  };
  const close = () => {
    stopped.current?.abort();
    onClose();
  };
  return html`<${Dialog} title=${t("import.title", { resource: resourceName(resource.name) })} onClose=${close}>
    <form class="form" onSubmit=${run}>
      <div class="field">
        <label for=${id}>${t("import.file")}</label>
        <input id=${id} type="file" accept=".ndjson,.jsonl,.csv" required aria-describedby=${`${id}-hint`}
          onChange=${(event) => setFile(event.target.files[0] ?? null)} />
        <small class="hint" id=${`${id}-hint`}>${t("import.hint")}</small>
      </div>
      ${state && html`<${Progress} state=${state} name=${resource.name} />`}
      <div class="actions">
        <button type="button" onClick=${close}>${state?.over ? t("close") : t("cancel")}</button>
        <button type="submit" class="main" aria-disabled=${state !== null && !state.over}>${t("import")}</button>
      </div>
    </form>
  </${Dialog}>`;
}

function Progress({ state, name }) {
  const { sent, total, created, refused, over, problem } = state;
  const save = () => {
    const report = refused.map((one) => `${JSON.stringify(one)}\n`).join("");
    saveText(report, `${name}-refused.ndjson`, NDJSON);
  };
  return html`
    <progress value=${sent} max=${total || 1} aria-label=${t("import.progress")}></progress>
    <div role="status">
      ${over && !problem && html`<p>${t("import.over")}</p>`}
      <p>${t("import.created", { count: created })} ${t("import.refused", { count: refused.length })}</p>
    </div>
    ${problem && html`<p class="fault" role="alert"><bdi>${problem.message}</bdi></p>`}
    ${refused.length > 0 && html`
      <ul class="refusals">${refused.slice(0, 5).map((one) => html`<li key=${one.line}>
        ${t("import.line", { number: one.line })} <bdi>${one.errors.map((error) => `${(error.pointer ?? "").replace("#/", "")} ${error.detail}`).join(" ")}</bdi>
      </li>`)}</ul>
      <button type="button" onClick=${save}>${t("import.report")}</button>`}`;
}
