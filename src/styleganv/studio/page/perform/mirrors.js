// Windows that show the same picture as the stage, e.g. on a second display. They say every second that they are there,
// so both this page and they may be reloaded.

import { players } from "../core/playback.js";
import { signal } from "../core/ui.js";

const [EVENT, ANNOUNCE_MS] = ["styleganv-mirror", 1000];

/** The canvases of open windows. @type {Set<HTMLCanvasElement>} */
const mirrors = new Set();
export const numMirrors = signal(0);

const isOpen = (/** @type {HTMLCanvasElement} */ canvas) => {
  try { return canvas.ownerDocument.defaultView?.closed === false && canvas.isConnected; } catch { return false; }
};

/** @param {HTMLCanvasElement} frame @param {HTMLCanvasElement} mirror */
function copy(frame, mirror) {
  if (mirror.width !== frame.width) mirror.width = frame.width;
  if (mirror.height !== frame.height) mirror.height = frame.height;
  mirror.style.setProperty("--ratio", String(frame.width / frame.height));
  mirror.getContext("2d")?.drawImage(frame, 0, 0);
}

function forgetClosed() {
  mirrors.forEach((mirror) => { if (!isOpen(mirror)) mirrors.delete(mirror); });
  numMirrors.value = mirrors.size;
}

/** In the page with the controls: show its frames in all windows that announce themselves. */
export function followMirrors() {
  addEventListener(EVENT, (event) => {
    const mirror = /** @type {CustomEvent} */ (event).detail;
    if (!mirrors.has(mirror) && players.a.canvas) copy(players.a.canvas, mirror);
    mirrors.add(mirror);
    forgetClosed();
  });
  setInterval(() => { if (mirrors.size) forgetClosed(); }, ANNOUNCE_MS);
  players.a.frameListeners.add((frame) => mirrors.forEach((mirror) => copy(frame, mirror)));
}

/** In such a window: announce its canvas to the page that opened it. @param {HTMLCanvasElement} canvas */
export function announceMirror(canvas) {
  const announce = () => {
    try { opener?.dispatchEvent(new opener.CustomEvent(EVENT, { detail: canvas })); } catch { /* another site's page */ }
  };
  announce();
  return setInterval(announce, ANNOUNCE_MS);
}
