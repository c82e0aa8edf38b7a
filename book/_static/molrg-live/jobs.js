/* One job at a time: a newer wish replaces one that waits, and an older job is told, so that it ends at its next step. */
"use strict";
molrgLive.oneAtATime = (box, failed) => {
  let wish = null, busy = false;
  return async (job) => {
    wish = job;
    if (busy) return;
    busy = true;
    box.setAttribute("aria-busy", "true");
    try {
      while (wish) {
        const current = wish;
        wish = null;
        await current(() => wish !== null);
      }
    } catch (error) {
      wish = null;
      failed(error);
    }
    busy = false;
    box.removeAttribute("aria-busy");
  };
};
