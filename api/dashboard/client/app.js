// The frame around every view: who is signed in, where one can go, which view is shown.
import { has, offered, resources } from "./description.js";
import { Feedback } from "./feedback.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { LANGUAGES, choose, current, resourceName, t } from "./i18n/index.js";
import { Messages, complain } from "./messages.js";
import { address, go, useRoute } from "./router.js";
import * as session from "./session.js";
import { AccountView } from "./views/account.js";
import { AnalyticsView } from "./views/analytics.js";
import { ClusterView } from "./views/cluster.js";
import { CreateView, DocumentView } from "./views/document.js";
import { ListView } from "./views/list.js";
import { FreshLogIn, SignInView, SignUpView, signOut } from "./views/sign.js";

/** What there is besides resources: {path: [where the API has it, name, view]}, for administrators. */
const FIGURES = {
  analytics: ["/analytics", () => t("analytics"), AnalyticsView],
  cluster: ["/cluster", () => t("cluster"), ClusterView],
};

/** The places that who is signed in can go to: [[path, name]] */
function places() {
  if (session.me() === null) return [];
  const lists = Object.values(resources()).filter(({ operations }) => offered(operations.list));
  const figures = Object.entries(FIGURES).filter(([, [path]]) => session.isAdmin() && has(path));
  return [
    ...lists.map(({ name }) => [name, resourceName(name)]).sort(([a], [b]) => order(a) - order(b)),
    ...figures.map(([path, [, name]]) => [path, name()]),
  ];
}

const FIRST = ["users", "projects", "leads"]; // what is asked for most
const order = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);

export function App({ onLanguage, onSignedIn }) {
  const { parts, query, kept } = useRoute();
  const shown = parts.slice(0, 2).join("/");
  const began = useRef(false);
  useEffect(() => {
    document.title = `${titleOf(parts)} · shardstack`;
    // Who moves by keyboard, or listens, begins at the new view's head; at first, at the page's.
    if (began.current) document.querySelector("main h1")?.focus({ preventScroll: true });
    began.current = true;
    scrollTo(0, 0);
  }, [shown, current()]);
  const skip = (event) => {
    event.preventDefault();
    document.querySelector("main").focus();
  };
  return html`
    <a class="skip" href="#main" onClick=${skip}>${t("skip")}</a>
    <${Top} here=${parts[0]} onLanguage=${onLanguage} />
    <main id="main" tabindex="-1"><${View} ...${{ parts, query, kept, onSignedIn }} key=${shown} /></main>
    <footer><a href="/docs">${t("docs")}</a> <${Feedback} /></footer>
    <${Messages} />
    <${FreshLogIn} />`;
}

function titleOf([first, second]) {
  if (first === "auth") return t(second === "account" || second === "sign-up" ? second : "sign-in");
  if (first in FIGURES) return FIGURES[first][1]();
  return first ? resourceName(first) : t("sign-in");
}

function View({ parts, query, kept, onSignedIn }) {
  const [first, second] = parts;
  const all = resources();
  const resource = Object.hasOwn(all, first ?? "") ? all[first] : null;
  if (second === "new" && resource && offered(resource.operations.create)) {
    return html`<${CreateView} resource=${resource} />`;
  }
  if (session.me() === null) {
    const Way = first === "auth" && second === "sign-up" ? SignUpView : SignInView;
    return html`<${Way} query=${query} onSignedIn=${onSignedIn} />`;
  }
  if (first === "auth" && second === "account") return html`<${AccountView} />`;
  if (first in FIGURES && places().some(([path]) => path === first)) {
    return html`<${FIGURES[first][2]} query=${query} />`;
  }
  if (resource && second && second !== "new" && offered(resource.operations.get)) {
    return html`<${DocumentView} resource=${resource} id=${second} />`;
  }
  if (resource && !second && offered(resource.operations.list)) {
    return html`<${ListView} resource=${resource} query=${query} kept=${kept} />`;
  }
  return html`<h1 tabindex="-1">${t("nothing-here")}</h1><p>${t("nothing-here.more")}</p>`;
}

function Top({ here, onLanguage }) {
  const [open, setOpen] = useState(false);
  const me = session.me();
  const close = () => setOpen(false);
  return html`<header class="top">
    <a class="brand" href="#/">shardstack</a>
    <button type="button" class="menu-button" aria-expanded=${open} aria-controls="places"
      onClick=${() => setOpen(!open)}>${t("menu")}</button>
    <div id="places" class=${open ? "places open" : "places"}>
      ${me && html`<nav aria-label=${t("places")}><ul>
        ${places().map(([path, name]) => html`<li key=${path}><a href=${address([path])} onClick=${close}
          aria-current=${here === path ? "page" : undefined}>${name}</a></li>`)}
      </ul></nav>`}
      <div class="own">
        ${me && html`<a href=${address(["auth", "account"])} onClick=${close}
          aria-current=${here === "auth" ? "page" : undefined} title=${me.email}><bdi>${me.name}</bdi></a>
          <button type="button" onClick=${() => signOut().catch(complain)}>${t("sign-out")}</button>`}
        <label class="language"><span class="hidden">${t("language")}</span>
          <select value=${current()} onChange=${(event) => choose(event.target.value).then(onLanguage)}>
            ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} lang=${code}>${name}</option>`)}
          </select></label>
      </div>
    </div>
  </header>`;
}

/** Where somebody begins: the first place there is. */
export function begin() {
  const [first] = places()[0] ?? ["auth/sign-in"];
  go(address(first.split("/")), { replace: true });
}
