// A resource's documents: searched, filtered, ordered, page by page. The address holds all of it.
import { PREFIX, call, download } from "../api.js";
import { has, offered, sortsOf } from "../description.js";
import { Filters, isFiltered } from "../filters.js";
import { html, useCallback, useEffect, useRef, useState } from "../html.js";
import { fieldName, resourceName, t } from "../i18n/index.js";
import { useChanges } from "../live.js";
import { Mark, markOf } from "../marks.js";
import { Menu } from "../menu.js";
import { complain, say } from "../messages.js";
import { address, go } from "../router.js";
import { Search } from "../search.js";
import * as session from "../session.js";
import { Import } from "../transfer.js";
import { Value } from "../values.js";

const SIZES = [25, 50, 100, 200];
const USUAL = 25;
const SAMPLED = new Set(["users", "projects", "leads"]); // what sample data are of
const SELDOM = new Set(["id", "version", "updated_at"]); // shown when they are asked for

export function ListView({ resource, query, kept }) {
  const { operations, name } = resource;
  const sorts = sortsOf(operations.list);
  const state = {
    sort: query.get("sort") ?? (sorts.includes("-created_at") ? "-created_at" : ""),
    limit: Number(query.get("limit")) || USUAL,
    fields: query.get("fields")?.split(",") ?? null,
  };
  const page = usePage(resource, query, state);
  const [importing, setImporting] = useState(false);
  const show = (changes, more) => go(address([name], changed(query, changes)), more);
  const columns = resource.columns.filter((column) =>
    state.fields ? state.fields.includes(column.name) : !SELDOM.has(column.name));

  return html`
    <header class="title">
      <h1 tabindex="-1">${resourceName(name)}</h1>
      <div class="actions">
        ${offered(operations.export) && html`<button type="button"
          onClick=${() => download(exported(resource, query)).catch(complain)}>${t("export")}</button>`}
        ${offered(operations.import) && html`<button type="button"
          onClick=${() => setImporting(true)}>${t("import")}</button>`}
        ${offered(operations.create) && html`<a class="button main"
          href=${address([name, "new"])}>${t("create")}</a>`}
      </div>
    </header>
    <div class="tools">
      <${Search} resource=${resource} show=${show} />
      <${Filters} operation=${operations.list} query=${query} show=${show} />
      <${Columns} ...${{ resource, query, kept, show }} shown=${columns} />
    </div>
    <${Table} ...${{ resource, columns, page, state, sorts, show, query }} />
    <${Pages} ...${{ name, page, query, state, kept, show }} />
    ${importing && html`<${Import} resource=${resource} onClose=${() => setImporting(false)}
      onDone=${page.again} />`}`;
}

/** The query with other parameters; another list begins with its first page. */
function changed(query, changes) {
  const made = new URLSearchParams(query);
  if (!("after" in changes)) made.delete("after");
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === "") made.delete(key);
    else made.set(key, value);
  }
  return made;
}

function exported({ path, operations }, query) {
  const wanted = new URLSearchParams();
  const known = new Set(operations.export.parameters?.map((one) => one.name));
  for (const [key, value] of query) if (known.has(key)) wanted.set(key, value);
  return `${path}/export?${wanted}`;
}

/** The page that the address asks for: {items, next, problem, busy, again}. */
function usePage(resource, query, state) {
  const [found, set] = useState({ items: null, next: null, problem: null, busy: true });
  const asked = useRef(null);
  const wanted = `${resource.path}?${query}`;
  const read = useCallback(async () => {
    asked.current?.abort();
    const { signal } = (asked.current = new AbortController());
    set((before) => ({ ...before, busy: true }));
    try {
      set({ ...(await fetchPage(resource, query, state, signal)), problem: null, busy: false });
    } catch (problem) {
      if (problem.name === "AbortError") return;
      if (problem.status === undefined) throw problem;
      set((before) => ({ ...before, items: before.items ?? [], problem, busy: false }));
    }
  }, [wanted]);
  useEffect(() => {
    read();
    return () => asked.current.abort();
  }, [read]);
  useChanges(resource.name, read);
  return { ...found, again: read };
}

/** A page of so many items, of as many of the API's pages as that takes. */
async function fetchPage(resource, query, { sort, limit }, signal) {
  const asking = new URLSearchParams(query);
  if (sort) asking.set("sort", sort);
  asking.delete("fields");
  const items = [];
  let next = null;
  do {
    asking.set("limit", limit - items.length);
    if (next) asking.set("after", next);
    const { data } = await call("GET", `${resource.path}?${asking}`, { signal });
    items.push(...data.items);
    next = data.next;
  } while (next && items.length < limit);
  return { items, next };
}

function Table({ resource, columns, page, state, sorts, show, query }) {
  const mark = markOf(resource);
  const { items, problem, busy } = page;
  if (problem) return html`<${Refused} problem=${problem} again=${page.again} />`;
  if (items === null) return html`<p class="empty" role="status">${t("loading")}</p>`;
  if (items.length === 0) {
    return html`<${Empty} resource=${resource} filtered=${isFiltered(resource.operations.list, query)} again=${page.again} />`;
  }
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${resourceName(resource.name)}>
    <table role="table" aria-busy=${busy}>
      <thead role="rowgroup"><tr role="row">
        ${mark && html`<th role="columnheader" scope="col">${mark.title()}</th>`}
        ${columns.map((column) => html`<${Head} key=${column.name} ...${{ column, state, sorts, show }} />`)}
      </tr></thead>
      <tbody role="rowgroup">
        ${items.map((item) => html`<tr role="row" key=${item.id}>
          ${mark && html`<td role="cell" data-label=${mark.title()}>
            <${Mark} mark=${mark} resource=${resource} item=${item} again=${page.again} /></td>`}
          ${columns.map((column, index) => html`<td role="cell" key=${column.name}
            class=${column.kind} data-label=${fieldName(column.name)}>
            <${Cell} ...${{ resource, column, item }} first=${index === 0} /></td>`)}
        </tr>`)}
      </tbody>
    </table>
  </div>`;
}

function Head({ column, state, sorts, show }) {
  const { name } = column;
  const label = fieldName(name);
  if (!sorts.includes(name)) return html`<th role="columnheader" scope="col">${label}</th>`;
  const way = state.sort === name ? "ascending" : state.sort === `-${name}` ? "descending" : "none";
  return html`<th role="columnheader" scope="col" aria-sort=${way}>
    <button type="button" class="sort" onClick=${() => show({ sort: way === "ascending" ? `-${name}` : name })}>
      ${label}<span aria-hidden="true">${{ ascending: " ▲", descending: " ▼", none: " ↕" }[way]}</span>
    </button>
  </th>`;
}

function Cell({ resource, column, item, first }) {
  const value = html`<${Value} field=${column} value=${item[column.name]} />`;
  if (column.kind === "file" && item[column.name]) {
    const path = `${resource.path}/${item.id}/${column.name}`;
    return html`<button type="button" class="link" onClick=${() => download(path).catch(complain)}>
      ${value}</button>`;
  }
  return first ? html`<a href=${address([resource.name, item.id])}>${value}</a>` : value;
}

export function Refused({ problem, again }) {
  return html`<div class="empty" role="alert">
    <p><bdi>${problem.message}</bdi></p>
    ${problem.errors.map((one) => html`<p><small>${one.parameter}: <bdi>${one.detail}</bdi></small></p>`)}
    ${again && html`<button type="button" onClick=${again}>${t("again")}</button>`}
  </div>`;
}

function Empty({ resource, filtered, again }) {
  const [busy, setBusy] = useState(false);
  const sampled = SAMPLED.has(resource.name) && has("/samples", "post");
  const samples = sampled && !filtered && session.isAdmin();
  const load = async () => {
    setBusy(true);
    try {
      const { data } = await call("POST", `${PREFIX}/samples`);
      say(t("samples.done", { count: Object.values(data.created).reduce((sum, one) => sum + one, 0) }));
      again();
    } catch (problem) {
      complain(problem);
    } finally {
      setBusy(false);
    }
  };
  return html`<div class="empty" role="status">
    <p>${t(filtered ? "list.nothing-found" : "list.empty")}</p>
    ${filtered && html`<a class="button" href=${address([resource.name])}>${t("filters.clear")}</a>`}
    ${samples && html`<button type="button" class="main" aria-disabled=${busy} onClick=${load}>
      ${busy ? t("loading") : t("samples.load")}</button>`}
  </div>`;
}

function Columns({ resource, query, kept, shown, show }) {
  const names = shown.map((column) => column.name);
  const toggle = (name) => {
    const wanted = resource.columns.map((column) => column.name).filter((one) =>
      one === name ? !names.includes(one) : names.includes(one));
    if (wanted.length) show({ fields: wanted.join(","), after: query.get("after") }, { kept, replace: true });
  };
  return html`<${Menu} label=${t("columns")}>${() => html`
    <div class="panel">
      ${resource.columns.map(({ name }) => html`<label class="check" key=${name}>
        <input type="checkbox" checked=${names.includes(name)} onChange=${() => toggle(name)} />
        ${fieldName(name)}</label>`)}
    </div>`}
  </${Menu}>`;
}

/** Keyset paging: the cursors of the pages before are kept by the history, since lists go one way. */
function Pages({ name, page, query, state, kept, show }) {
  const before = kept.before ?? [];
  const here = query.get("after") ?? "";
  const next = () => show({ after: page.next }, { kept: { before: [...before, here] } });
  const back = () => show({ after: before.at(-1) }, { kept: { before: before.slice(0, -1) } });
  return html`<nav class="pages" aria-label=${t("pages")}>
    <span role="status">${page.items && t("list.shown", { count: page.items.length })}</span>
    ${here && before.length === 0 && html`<a class="button" href=${address([name], changed(query, {}))}>${t("pages.first")}</a>`}
    <button type="button" onClick=${back} disabled=${before.length === 0}>${t("pages.back")}</button>
    <button type="button" onClick=${next} disabled=${!page.next}>${t("pages.next")}</button>
    <label>${t("pages.size")} <select value=${String(state.limit)}
      onChange=${(event) => show({ limit: event.target.value })}>
      ${[...new Set([...SIZES, state.limit])].sort((a, b) => a - b).map((size) => html`
        <option value=${String(size)}>${size}</option>`)}
    </select></label>
  </nav>`;
}
