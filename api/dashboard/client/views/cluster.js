// The cluster, drawn anew each second: its sets with their members, its routers, and what is wrong.
import { PREFIX, call } from "../api.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { bytes, moment, number, t, time, valueName } from "../i18n/index.js";
import { useVisibleInterval } from "../interval.js";
import { Refused } from "./list.js";

const SECOND = 1000;
const SEEN = 20; // changes of primaries that are remembered while the page is open

export function ClusterView() {
  const [picture, setPicture] = useState(null);
  const [problem, setProblem] = useState(null);
  const [seen, setSeen] = useState([]);
  const before = useRef(null);
  const read = async () => {
    try {
      const { data } = await call("GET", `${PREFIX}/cluster`);
      const last = before.current;
      if (last === null || data.at !== last.at) {
        const moves = last === null ? [] : movesBetween(last, data);
        if (moves.length) setSeen((all) => [...moves, ...all].slice(0, SEEN));
        setPicture(last === null ? data : { ...data, rates: ratesBetween(last, data) });
        before.current = data;
      }
      setProblem(null);
    } catch (caught) {
      if (caught.status === undefined) throw caught;
      setProblem(caught);
    }
  };
  useVisibleInterval(read, SECOND);

  const title = html`<h1 tabindex="-1">${t("cluster")}</h1>`;
  if (picture === null) {
    return html`${title}${problem ? html`<${Refused} problem=${problem} again=${read} />`
      : html`<p class="empty" role="status">${t("loading")}</p>`}`;
  }
  const { sets, routers, shards, balancer, problems, timeline } = picture;
  return html`
    <header class="title">${title}<${Age} at=${picture.at} /></header>
    ${problem && html`<p class="notice bad" role="alert"><bdi>${problem.message}</bdi></p>`}
    <${Problems} problems=${problems} />
    <div class=${problem ? "sets old" : "sets"}>
      ${sets.map((set) => html`<${ReplicaSet} key=${set.name} set=${set} rates=${picture.rates ?? {}}
        shard=${(shards ?? []).find((one) => one.name === set.name)} />`)}
      <${Routers} routers=${routers} rates=${picture.rates ?? {}} />
      <${Balancer} balancer=${balancer} shards=${shards} events=${picture.events} />
    </div>
    <${Timeline} seen=${seen} timeline=${timeline ?? []} />`;
}

/** Which set has another primary than before: [{at, kind, set, text}] */
function movesBetween(last, now) {
  const was = new Map(last.sets.map((set) => [set.name, set.primary]));
  return now.sets
    .filter((set) => was.has(set.name) && was.get(set.name) !== set.primary)
    .map(({ name, primary }) => ({
      at: now.at,
      kind: "election",
      set: name,
      text: primary ? t("cluster.elected", { primary, before: was.get(name) ?? t("value.none") })
        : t("cluster.lost", { before: was.get(name) }),
    }));
}

/** Operations a second of each server, by name. */
function ratesBetween(last, now) {
  const counts = (picture) => new Map(everyServer(picture).map((one) =>
    [one.name, one.operations ? Object.values(one.operations).reduce((a, b) => a + b, 0) : null]));
  const [was, is] = [counts(last), counts(now)];
  const rates = {};
  for (const [name, count] of is) {
    const earlier = was.get(name) ?? null;
    if (count === null || earlier === null || count < earlier) continue; // restarted, or unknown
    rates[name] = Math.round((count - earlier) / (now.at - last.at));
  }
  return rates;
}

const everyServer = ({ sets, routers }) => [...sets.flatMap((set) => set.members), ...routers];

function Age({ at }) {
  const [now, setNow] = useState(Date.now());
  useVisibleInterval(() => setNow(Date.now()), SECOND);
  const seconds = Math.max(0, Math.round(now / 1000 - at));
  return html`<span class="age">${t("cluster.as-of", { time: moment(at * 1000), seconds })}</span>`;
}

function Problems({ problems }) {
  return html`<section class=${problems.length ? "card problems" : "card well"} aria-label=${t("cluster.problems")}>
    <div role="status">${problems.length === 0 ? t("cluster.well") : html`<ul>
      ${problems.map((one) => html`<li key=${one}><bdi>${one}</bdi></li>`)}</ul>`}</div>
  </section>`;
}

const ROW = 52;
const WIDTH = 340;

/** One replica set: a node for each member, the primary joined to those who copy from it. */
function ReplicaSet({ set, shard, rates }) {
  const { name, members, primary, has_majority: majority } = set;
  const facts = [
    !primary && t("cluster.no-primary"),
    primary && set.elected_at && t("cluster.since", { primary, time: time(set.elected_at * 1000) }),
    !majority && t("cluster.no-majority"),
    majority && members.length > 1 && t("cluster.survives", { count: set.survives_losses }),
  ].filter(Boolean);
  const at = Math.max(0, members.findIndex((one) => one.name === primary));
  const middle = (index) => index * ROW + 26;
  const label = `${name}: ${members.map((one) => `${one.name} ${stateOf(one)}`).join(", ")}`;
  return html`<section class=${majority && primary ? "card set" : "card set broken"}>
    <h2>${name}${set.is_config && html` <small>${t("cluster.config")}</small>`}</h2>
    <p><small>${facts.join(" · ")}</small></p>
    <svg viewBox=${`0 0 ${WIDTH} ${members.length * ROW}`} role="img" aria-label=${label}>
      ${primary && members.map((one, index) => index !== at && one.up && html`<path key=${one.name} class="link"
        d=${`M16 ${middle(at)} C -6 ${middle(at)}, -6 ${middle(index)}, 16 ${middle(index)}`} />`)}
      ${members.map((one, index) => html`<${Member} key=${one.name} server=${one} y=${middle(index)}
        primary=${one.name === primary} rate=${rates[one.name]} />`)}
    </svg>
    ${shard && html`<p class="holds">${t("cluster.chunks", { count: shard.chunks ?? 0 })}${shard.collections !== undefined
      && html` · ${t("cluster.collections", { count: shard.collections })}`}${shard.draining
      && html` · <strong>${t("cluster.draining")}</strong>`}</p>`}
  </section>`;
}

const stateOf = ({ up, state }) => (up ? valueName(String(state ?? "router").toLowerCase()) : t("cluster.down"));

function Member({ server, y, primary, rate }) {
  const { name, up, lag_seconds: lag, connections, storage_bytes: storage, queues, version } = server;
  const queued = (queues?.readers ?? 0) + (queues?.writers ?? 0);
  const facts = [
    !primary && lag !== null && lag !== undefined && t("cluster.lag", { seconds: lag }),
    connections !== null && connections !== undefined && t("cluster.connections", { count: connections }),
    rate !== undefined && t("cluster.rate", { rate }),
    queued ? t("cluster.queued", { count: queued }) : null,
    storage && bytes(storage),
  ].filter(Boolean);
  const kind = !up ? "down" : primary ? "primary" : server.state === "SECONDARY" || server.state === undefined ? "" : "other";
  return html`<g class=${`server ${kind}`} data-name=${name}>
    <circle cx="22" cy=${y} r="9" />
    ${!up && html`<path d=${`M18 ${y - 4} l8 8 m0 -8 l-8 8`} />`}
    <text x="42" y=${y - 4} class="name">${name}<tspan class="state" dx="8">${stateOf(server)}</tspan></text>
    <text x="42" y=${y + 13} class="facts">${up ? facts.join(" · ") || version : (server.error ?? "").slice(0, 52)}</text>
  </g>`;
}

function Routers({ routers, rates }) {
  return html`<section class="card set"><h2>${t("cluster.routers")}</h2>
    <svg viewBox=${`0 0 ${WIDTH} ${Math.max(1, routers.length) * ROW}`} role="img"
      aria-label=${routers.map((one) => `${one.name} ${stateOf(one)}`).join(", ") || t("value.none")}>
      ${routers.map((one, index) => html`<${Member} key=${one.name} server=${one} y=${index * ROW + 26} rate=${rates[one.name]} />`)}
    </svg></section>`;
}

/** How the chunks lie on the shards, as bars; and who moves them. */
function Balancer({ balancer, shards, events }) {
  const most = Math.max(1, ...(shards ?? []).map((one) => one.chunks ?? 0));
  return html`<section class="card set"><h2>${t("cluster.balancer")}</h2>
    ${shards === null && html`<p class="fault">${t("cluster.unknown")}</p>`}
    ${shards && html`<svg viewBox=${`0 0 ${WIDTH} ${shards.length * 26}`} role="img"
      aria-label=${shards.map((one) => `${one.name}: ${number(one.chunks ?? 0)}`).join(", ")}>
      ${shards.map((one, index) => html`<g key=${one.name}>
        <text x="0" y=${index * 26 + 16} class="facts">${one.name}</text>
        <rect class="bar" x="90" y=${index * 26 + 5} height="14" width=${((one.chunks ?? 0) / most) * 200} />
        <text x=${96 + ((one.chunks ?? 0) / most) * 200} y=${index * 26 + 16} class="facts">${number(one.chunks ?? 0)}</text>
      </g>`)}
    </svg>`}
    ${balancer !== null && html`<p><small>${t("cluster.balancer-is", { state: valueName(balancer) })}</small></p>`}
    ${events && html`<ul class="counts" aria-label=${t("cluster.events")}>${Object.entries(events).map(([name, count]) =>
      html`<li key=${name}><code>${name}</code> ${number(count)}</li>`)}</ul>`}
  </section>`;
}

/** What happened lately: told by the API, and seen while the page was open. */
function Timeline({ seen, timeline }) {
  const all = [...seen.map((one) => ({ ...one, here: true })), ...timeline].sort((a, b) => b.at - a.at);
  if (all.length === 0) return null;
  return html`<section class="card"><h2>${t("cluster.timeline")}</h2>
    <${Strip} events=${all} />
    <ol class="timeline">${all.slice(0, 50).map((one) => html`<li key=${`${one.at} ${one.set} ${one.text}`}>
      <time datetime=${new Date(one.at * 1000).toISOString()}>${one.here ? moment(one.at * 1000) : time(one.at * 1000)}</time>
      <span class=${`badge ${one.kind}`}>${valueName(one.kind)}</span>
      <span>${one.set && html`<strong><bdi>${one.set}</bdi></strong> `}<bdi>${one.text}</bdi></span></li>`)}</ol>
  </section>`;
}

const STRIP = 1000;

function Strip({ events }) {
  const [first, last] = [events.at(-1).at, events[0].at];
  const x = (at) => 10 + ((at - first) / (last - first || 1)) * (STRIP - 20);
  return html`<svg class="strip" viewBox=${`0 0 ${STRIP} 24`} preserveAspectRatio="none" aria-hidden="true">
    <path d=${`M0 12 h${STRIP}`} />
    ${events.map((one, index) => html`<rect key=${index} class=${one.kind} x=${x(one.at) - 2} y="4" width="4" height="16" />`)}
  </svg>`;
}
