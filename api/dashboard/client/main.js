// The beginning: language, description, who is signed in; then the pages.
import { PREFIX, call } from "./api.js";
import { App, begin } from "./app.js";
import { load } from "./description.js";
import { html, render } from "./html.js";
import * as i18n from "./i18n/index.js";
import { listen } from "./live.js";
import { route } from "./router.js";
import * as session from "./session.js";

const root = document.getElementById("app");

const draw = () => render(html`<${App} onLanguage=${draw} onSignedIn=${enter} />`, root);

/** Learn who is signed in, and show what is asked for, or the first place there is. */
async function enter() {
  session.setMe((await call("GET", `${PREFIX}/auth/me`)).data);
  listen();
  const { parts } = route();
  if (parts.length === 0 || (parts[0] === "auth" && parts[1] !== "account")) begin();
  draw();
}

addEventListener("popstate", () => {
  if (session.me() !== null && route().parts.length === 0) begin();
});

try {
  await i18n.begin();
  await load();
  if (session.csrf() === null) draw();
  else await enter();
} catch (problem) {
  const text = document.createElement("p");
  text.className = "empty";
  text.role = "alert";
  text.textContent = problem.message;
  root.replaceChildren(text);
  throw problem;
}
