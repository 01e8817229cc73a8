/** A progress bar with its percent, its message, and when it will probably be through. */

import { showMoment } from "./time.js";

export function showProgress(box, { percent, message, eta }) {
  box.toggleAttribute("data-unknown", percent === null && !message);
  box.querySelector("progress").value = percent ?? 0;
  box.querySelector("[data-percent]").textContent = `${Math.floor(percent ?? 0)}%`;
  box.querySelector("[data-message]").textContent = message;
  showMoment(box.querySelector("[data-eta]"), "left", eta);
}
