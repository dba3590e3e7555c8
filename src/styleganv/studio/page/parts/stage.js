// The stage: one or two videos as large as their place allows, and what is to be said of their pictures.

import { jobs, jobStatus, jobTitle } from "../core/jobs.js";
import { displayedFps, players } from "../core/playback.js";
import { isMotionReduced } from "../core/theme.js";
import { html, useLayoutEffect, useRef } from "../core/ui.js";
import { activity, isFlipped, isSmooth, secondView, view } from "../core/state.js";

const BACKDROP_MS = 150; // between updates
const [BACKDROP_SIZE, BLUR] = [40, 6]; // pixels: blurring few of them is cheap, and scaling does the rest

/** Follow the frames of a player with a small copy. @param {HTMLCanvasElement | null} backdrop */
function backdropListener(backdrop) {
  let drawnAt = 0;
  return (/** @type {HTMLCanvasElement} */ canvas) => {
    const now = performance.now();
    if (!backdrop || now - drawnAt < BACKDROP_MS || isMotionReduced()) return;
    drawnAt = now;
    const context = /** @type {CanvasRenderingContext2D} */ (backdrop.getContext("2d"));
    context.filter = `blur(${BLUR}px)`;
    context.drawImage(canvas, -BLUR, -BLUR, BACKDROP_SIZE + 2 * BLUR, BACKDROP_SIZE + 2 * BLUR);
  };
}

/** @param {{ id: string, player: import("../core/player.js").Player, name: string, label: string, children?: any }} props */
function Screen({ id, player, name, label, children }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const backdrop = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const [width, height] = player.size.value;
  const { phase, text, isError } = player.status.value;
  const isA = (player === players.a) !== isFlipped.value;
  useLayoutEffect(() => {
    player.canvas = canvas.current;
    const listener = backdropListener(backdrop.current);
    player.frameListeners.add(listener);
    return () => { player.canvas = null; player.frameListeners.delete(listener); };
  }, [player]);
  useLayoutEffect(() => canvas.current?.style.setProperty("--ratio", String(width / height)), [width, height]);
  return html`
    <figure class=${`screen ${phase} ${isSmooth.value ? "" : "pixelated"}`} id=${`${id}-figure`}>
      ${!isMotionReduced() &&
        html`<canvas class="backdrop" ref=${backdrop} width=${BACKDROP_SIZE} height=${BACKDROP_SIZE} aria-hidden="true" />`}
      <canvas id=${id} class="picture" ref=${canvas} width="1" height="1" role="img" aria-label=${`${label}: ${name}`} />
      <p id=${`${id}-message`} class=${`message ${isError ? "is-error" : ""}`} role="status" hidden=${!text}>${text}</p>
      <figcaption><span class="badge name">${isA ? "A" : "B"}: ${name}</span>
        ${phase !== "empty" && html`<span class="badge">${width}×${height}</span>`}${children}</figcaption>
    </figure>`;
}

/** What is processed for this source: an upload, or a search with its progress. */
function Activity() {
  const job = jobs.value.find((one) => one.state === "running" && one.source === view.a.value.model);
  const text = activity.value || (job ? `${jobTitle(job)}: ${jobStatus(job).toLowerCase()}` : "");
  return html`<span id="activity" class="badge" role="status" hidden=${!text}>${text}</span>`;
}

export const Stage = () => html`
  <section id="stage" aria-label="Video" class=${isFlipped.value && secondView.value ? "flipped" : ""}>
    <${Screen} id="screen" player=${players.a} name=${view.a.value.model} label="Video">
      <span id="displayed-fps" class="badge">${displayedFps.value} fps</span><${Activity} />
    <//>
    ${secondView.value && html`<${Screen} id="second-screen" player=${players.b} name=${secondView.value.model}
      label="Video to compare with" />`}
  </section>`;
