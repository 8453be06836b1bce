// The address: a view's path and state stand behind its `#`, so servers and their logs never see
// what somebody looks for, and whoever gets the address sees the same view.
import { useEffect, useState } from "./html.js";

const listeners = new Set();

/** The present view: {parts: ["users", id], query: URLSearchParams, kept: what history keeps}. */
export function route() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split(/\?(.*)/s);
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { parts, query: new URLSearchParams(query), kept: history.state ?? {} };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a view, to be used in links. `query`: an object or URLSearchParams. */
export function address(parts, query = {}) {
  const text = new URLSearchParams(query).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Show a view. `kept`: what is to be known when somebody comes back to it, besides its address. */
export function go(to, { kept = null, replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](kept, "", to);
  tell();
}

function tell() {
  for (const listener of listeners) listener();
}
addEventListener("popstate", tell);

/** The present view; what uses it is drawn again when the address changes. */
export function useRoute() {
  const [found, set] = useState(route);
  useEffect(() => {
    const listener = () => set(route());
    listeners.add(listener);
    listener(); // it may have changed since this was drawn
    return () => listeners.delete(listener);
  }, []);
  return found;
}
