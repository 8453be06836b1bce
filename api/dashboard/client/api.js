// Requests to the API, and the one way in which it says that something went wrong.
import * as i18n from "./i18n/index.js";
import * as session from "./session.js";

export const PREFIX = "/api/v1";
const KIND = "urn:shardstack:problem:";
const SAFE = new Set(["GET", "HEAD"]);
const BLINK = 500; // milliseconds after which what reads is sent again where no answer came

/** Problem details (RFC 9457). `status` 0: no answer came. `errors`: [{pointer|parameter, detail}] */
export class Problem extends Error {
  constructor(status, details = {}, retryAfter = null) {
    super(details.detail ?? i18n.t("problem.unknown", { status }));
    this.status = status;
    this.kind = details.type?.startsWith(KIND) ? details.type.slice(KIND.length) : null;
    this.errors = details.errors ?? [];
    this.requestId = details.request_id ?? null;
    this.retryAfter = retryAfter;
  }
}

/** Asks for the password again, and signs in with it; resolves to whether that was done. */
let signInAgain = async () => false;
export const onFreshLogIn = (ask) => (signInAgain = ask);

/**
 * Send a request: {data, etag, status}. Raises Problem.
 *
 * A token that has expired is renewed, and the request sent again. Where the session is over the
 * page is left. `body`: an object, sent as JSON, or FormData or text of the type in `headers`.
 */
export async function call(method, path, { body, headers = {}, signal, again = true } = {}) {
  const sentAt = Date.now();
  const response = await send(method, path, body, headers, signal);
  if (response.ok) return answer(response);
  const problem = await problemOf(response);
  if (response.status !== 401 || !again || session.csrf() === null) throw problem;
  const repeat = () => call(method, path, { body, headers, signal, again: false });
  if (problem.kind === "fresh-login") {
    if (await signInAgain()) return repeat();
    throw problem;
  }
  if (await refresh(sentAt)) return repeat();
  session.end("expired");
  return new Promise(() => {}); // the page is being left
}

async function send(method, path, body, headers, signal) {
  const all = { "Accept-Language": i18n.current(), ...headers };
  const csrf = session.csrf();
  if (!SAFE.has(method) && csrf) all["X-CSRF-TOKEN"] = csrf.access;
  let sent = body;
  if (body !== undefined && !(body instanceof FormData) && typeof body !== "string") {
    all["Content-Type"] ??= "application/json";
    sent = JSON.stringify(body);
  }
  const attempt = () => fetch(path, { method, headers: all, body: sent, signal });
  try {
    return await attempt().catch((error) => {
      if (error.name === "AbortError" || !SAFE.has(method)) throw error;
      return later(BLINK).then(attempt); // a telephone changes networks, a server its process
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: i18n.t("problem.network") });
  }
}

const later = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function answer(response) {
  const text = response.status === 204 ? "" : await response.text();
  const json = response.headers.get("Content-Type")?.startsWith("application/json");
  return {
    status: response.status,
    data: json ? JSON.parse(text) : text,
    etag: response.headers.get("ETag"),
  };
}

async function problemOf(response) {
  const details = await response.json().catch(() => ({}));
  return new Problem(response.status, details, response.headers.get("Retry-After"));
}

const LOCK = "shardstack.refresh";
let refreshing = null;

/**
 * Renew the tokens, unless that was done after `since`; whether there are good ones now.
 *
 * Each refresh token is good once: one tab uses it, and the others wait for what it gets.
 */
function refresh(since) {
  refreshing ??= alone(() => renew(since)).finally(() => (refreshing = null));
  return refreshing;
}

async function alone(work) {
  const { locks } = navigator;
  if (!locks) return work(); // not a secure context
  const done = await locks.request(LOCK, { ifAvailable: true }, (lock) => (lock ? work() : null));
  return done ?? locks.request(LOCK, () => true);
}

async function renew(since) {
  if (session.refreshedAt() > since) return true; // by another tab, meanwhile
  const csrf = session.csrf();
  if (csrf === null) return false;
  const headers = { "X-CSRF-TOKEN": csrf.refresh, "Accept-Language": i18n.current() };
  const response = await fetch(`${PREFIX}/auth/refresh`, { method: "POST", headers }).catch(() => {
    throw new Problem(0, { detail: i18n.t("problem.network") });
  });
  if (response.ok) session.keep(await response.json());
  else if (response.status >= 500 || response.status === 429) throw await problemOf(response);
  return response.ok;
}

/** Sign in with {email, password}, in cookie mode. Raises Problem. */
export async function logIn(credentials) {
  const body = { ...credentials, mode: "cookie" };
  const device = session.deviceToken();
  if (device) body.device_token = device;
  const { data } = await call("POST", `${PREFIX}/auth/login`, { body, again: false });
  session.keep(data);
}

/** Have the browser save what is at an address, once the session is known to be good. */
export async function download(path) {
  await call("GET", `${PREFIX}/auth/me`);
  save(path, "");
}

/** Have the browser save a text that was made here. */
export function saveText(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  save(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function save(href, name) {
  const link = document.createElement("a");
  link.href = href;
  link.download = name;
  link.click();
}
