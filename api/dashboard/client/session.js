// Whether somebody is signed in, in all tabs of the browser. The tokens are in cookies that no
// script sees; here are the CSRF tokens that go with them, which alone open nothing.

const CSRF = "shardstack.csrf";
const REFRESHED = "shardstack.refreshed";
const DEVICE = "shardstack.device";

const channel = new BroadcastChannel("shardstack.session");
let user = null;

export const me = () => user;
export const isAdmin = () => user?.role === "admin";
export const setMe = (document) => (user = document);

/** The CSRF tokens, {access, refresh}; null when nobody is signed in. */
export const csrf = () => JSON.parse(localStorage.getItem(CSRF));

/** When the tokens were last renewed, by whichever tab; milliseconds since 1970. */
export const refreshedAt = () => Number(localStorage.getItem(REFRESHED) ?? 0);

/** What lets the right password pass on this device, also while strangers try to guess it. */
export const deviceToken = () => localStorage.getItem(DEVICE);

/** Keep what log-in or refresh answered. */
export function keep(tokens) {
  const { csrf_token: access, csrf_refresh_token: refresh, device_token: device } = tokens;
  localStorage.setItem(CSRF, JSON.stringify({ access, refresh }));
  localStorage.setItem(REFRESHED, Date.now());
  if (device) localStorage.setItem(DEVICE, device);
}

/** Somebody signed in here: other tabs show that, too. */
export const announce = () => channel.postMessage("began");

/** The session is over, in every tab. `why`: a name in the address of the page that says so. */
export function end(why) {
  localStorage.removeItem(CSRF);
  channel.postMessage("ended");
  leave(why);
}

/** Begin anew, with a page that knows nothing of what was shown. */
function leave(why) {
  user = null;
  document.body.replaceChildren();
  history.replaceState(null, "", `#/sign-in?${why}`);
  location.reload();
}

channel.onmessage = ({ data }) => {
  if (data === "ended" && user !== null) leave("ended");
  if (data === "began" && (user === null || csrf() === null)) location.reload();
};

// A browser may keep a page as it was, and show it again when somebody goes back to it.
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && (user === null) !== (csrf() === null)) location.reload();
});
