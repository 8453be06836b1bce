// What the API counted of itself, day by day: sign-ups, log-ins, requests and errors. No names.
import { PREFIX, call } from "../api.js";
import { html, useEffect, useId, useState } from "../html.js";
import { date, number, t } from "../i18n/index.js";
import { address, go } from "../router.js";
import { Refused } from "./list.js";

const DAYS = 30; // that are shown at first
const DAY = 24 * 3600 * 1000;
const FIGURES = ["sign_ups", "log_ins", "active_users", "requests", "client_errors", "server_errors"];

const isoDay = (milliseconds) => new Date(milliseconds).toISOString().slice(0, 10);

export function AnalyticsView({ query }) {
  const from = query.get("from") ?? isoDay(Date.now() - (DAYS - 1) * DAY);
  const to = query.get("to") ?? isoDay(Date.now());
  const [days, setDays] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    const aborting = new AbortController();
    call("GET", `${PREFIX}/analytics?${new URLSearchParams({ from, to })}`, { signal: aborting.signal }).then(
      ({ data }) => {
        setDays(data.days);
        setProblem(null);
      },
      (caught) => {
        if (caught.name !== "AbortError") setProblem(caught);
      },
    );
    return () => aborting.abort();
  }, [from, to]);
  return html`
    <header class="title"><h1 tabindex="-1">${t("analytics")}</h1>
      <${Range} from=${from} to=${to} key=${from + to} /></header>
    ${problem && html`<${Refused} problem=${problem} />`}
    ${!problem && days === null && html`<p class="empty" role="status">${t("loading")}</p>`}
    ${!problem && days !== null && html`<${Figures} days=${days} />`}`;
}

function Range({ from, to }) {
  const [range, setRange] = useState({ from, to });
  const ids = { from: useId(), to: useId() };
  const apply = (event) => {
    event.preventDefault();
    go(address(["analytics"], range));
  };
  return html`<form class="actions" onSubmit=${apply}>
    ${["from", "to"].map((name) => html`<label class="check" key=${name} for=${ids[name]}>${t(`analytics.${name}`)}
      <input id=${ids[name]} type="date" required value=${range[name]}
        onInput=${(event) => setRange((before) => ({ ...before, [name]: event.target.value }))} /></label>`)}
    <button type="submit">${t("filters.apply")}</button>
  </form>`;
}

function Figures({ days }) {
  if (days.length === 0) return html`<p class="empty">${t("list.empty")}</p>`;
  return html`
    <div class="charts">${FIGURES.map((name) => html`<${Bars} key=${name} name=${name} days=${days} />`)}</div>
    <section class="card"><h2>${t("analytics.routes")}</h2><${Routes} days=${days} /></section>
    <details class="card"><summary>${t("analytics.days")}</summary><${Days} days=${days} /></details>`;
}

const HEIGHT = 90;
const WIDTH = 360;

function Bars({ name, days }) {
  const values = days.map((day) => day[name] ?? 0);
  const most = Math.max(1, ...values);
  const sum = values.reduce((a, b) => a + b, 0);
  const step = WIDTH / days.length;
  const title = t(`analytics.${name}`);
  const label = `${title}: ${t("analytics.highest", { value: number(Math.max(...values)) })}`;
  return html`<section class="card chart">
    <h2>${title} <small>${name === "active_users" ? t("analytics.highest", { value: number(Math.max(...values)) }) : number(sum)}</small></h2>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${label}>
      ${values.map((value, index) => html`<rect key=${days[index].day} class=${name.endsWith("errors") ? "bar bad" : "bar"}
        x=${index * step + step * 0.1} width=${step * 0.8} y=${HEIGHT - (value / most) * HEIGHT} height=${(value / most) * HEIGHT}>
        <title>${`${date(days[index].day)}: ${number(value)}`}</title></rect>`)}
    </svg>
    <p class="ends"><small>${date(days[0].day)}</small><small>${date(days.at(-1).day)}</small></p>
  </section>`;
}

const COUNTS = ["requests", "client_errors", "server_errors"];

function Routes({ days }) {
  const routes = new Map();
  for (const one of days.flatMap((day) => day.routes ?? [])) {
    const before = routes.get(one.route) ?? Object.fromEntries(COUNTS.map((name) => [name, 0]));
    routes.set(one.route, Object.fromEntries(COUNTS.map((name) => [name, before[name] + (one[name] ?? 0)])));
  }
  const rows = [...routes].sort(([, a], [, b]) => b.requests - a.requests);
  return html`<${Table} first=${t("analytics.route")} names=${COUNTS}
    rows=${rows.map(([route, counts]) => [html`<code>${route}</code>`, counts])} />`;
}

function Days({ days }) {
  return html`<${Table} first=${t("analytics.day")} names=${FIGURES} rows=${days.map((day) => [date(day.day), day])} />`;
}

function Table({ first, names, rows }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${first}><table role="table">
    <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">${first}</th>
      ${names.map((name) => html`<th role="columnheader" scope="col" class="number">${t(`analytics.${name}`)}</th>`)}</tr></thead>
    <tbody role="rowgroup">${rows.map(([head, counts], index) => html`<tr role="row" key=${index}>
      <td role="cell" data-label=${first}>${head}</td>
      ${names.map((name) => html`<td role="cell" class="number" data-label=${t(`analytics.${name}`)}>${number(counts[name] ?? 0)}</td>`)}
    </tr>`)}</tbody></table></div>`;
}
