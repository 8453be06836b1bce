// What is done again and again while the page is shown, and not while it is hidden.
import { useEffect, useRef } from "./html.js";

/** Call `work` now and so many milliseconds after it has ended, for as long as the page is shown. */
export function useVisibleInterval(work, milliseconds) {
  const latest = useRef(work);
  latest.current = work;
  useEffect(() => {
    let timer = null;
    let ended = false;
    const run = async () => {
      clearTimeout(timer);
      if (document.hidden || ended) return;
      await latest.current();
      if (!ended) timer = setTimeout(run, milliseconds);
    };
    document.addEventListener("visibilitychange", run);
    run();
    return () => {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", run);
    };
  }, [milliseconds]);
}
