// What others change is shown soon: the API tells which resource was changed (server-sent events),
// and what is shown of it is read anew. Where it does not tell, it is asked now and then.
import { PREFIX, call } from "./api.js";
import { has } from "./description.js";
import { useEffect } from "./html.js";

const POLL = 30_000; // milliseconds
const AGAIN = 60_000; // until the next try to have a stream
const TOGETHER = 300; // changes that come within so much time are read once

const listeners = new Map(); // name of a resource: functions
let source = null;
let polling = null;
let retry = null;

/** Begin to listen, for as long as the page is shown: browsers have few connections for all tabs. */
export function listen() {
  document.addEventListener("visibilitychange", shownOrHidden);
  if (!document.hidden) connect();
}

function shownOrHidden() {
  if (document.hidden) return disconnect();
  connect();
  tellAll();
}

function disconnect() {
  source?.close();
  clearInterval(polling);
  clearTimeout(retry);
  source = polling = retry = null;
}

function connect() {
  disconnect();
  if (!has("/events")) return poll();
  source = new EventSource(`${PREFIX}/events`);
  source.addEventListener("change", ({ data }) => {
    const change = JSON.parse(data);
    tell(change.resource, change);
  });
  source.addEventListener("reset", tellAll);
  source.addEventListener("end", async () => {
    disconnect();
    await call("GET", `${PREFIX}/auth/me`).catch(() => null); // renews what has expired
    if (!document.hidden) connect();
  });
  source.onerror = () => {
    if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    poll();
    retry = setTimeout(connect, AGAIN);
  };
}

function poll() {
  clearInterval(polling);
  polling = setInterval(tellAll, POLL);
}

/** `change`: {id, verb}, as far as they are known. */
function tell(resource, change = {}) {
  for (const listener of listeners.get(resource) ?? []) listener(change);
}

function tellAll() {
  for (const resource of listeners.keys()) tell(resource);
}

const always = () => true;

/** Call a function when a resource's documents may have changed, in a way that `matters`. */
export function useChanges(resource, changed, matters = always) {
  useEffect(() => {
    let waiting = null;
    const listener = (change) => {
      if (!matters(change)) return;
      clearTimeout(waiting);
      waiting = setTimeout(changed, TOGETHER);
    };
    const all = listeners.get(resource) ?? new Set();
    listeners.set(resource, all.add(listener));
    return () => {
      clearTimeout(waiting);
      all.delete(listener);
    };
  }, [resource, changed, matters]);
}
