// A small moving picture of a video: first one frame, then all, unless motion is reduced. It loads and moves only while it
// is visible.
//
//     html`<${Thumbnail} of=${{ ...settledView.value, content: "5" }} frames=${8} />`      one frame: a still

import { html, useEffect, useRef, useSignal } from "../core/ui.js";
import { findSource } from "../core/state.js";
import { keptSprite, loadSprite } from "../core/sprites.js";
import { isMotionReduced } from "../core/theme.js";
import { thumbnailUrl } from "../core/protocol.js";

const STEP = 0.2; // seconds between frames
const MARGIN = "64px"; // around the visible part, in which thumbnails load ahead

/** @type {Map<Element, (isVisible: boolean) => void>} */
const observed = new Map();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) observed.get(target)?.(isIntersecting);
}, { rootMargin: MARGIN });

/** @param {{ of: import("../core/state.js").View, frames?: number, size?: number, priority?: number }} props
 *   of: the video; of a grid, its first cell; priority: smaller loads earlier */
export function Thumbnail({ of, frames: most = 8, size = 64, priority = 0 }) {
  const frames = isMotionReduced() ? 1 : most;
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const isVisible = useSignal(false);
  const shown = useSignal({ model: "", url: "", src: "", frames: 1, error: "" });
  const source = findSource(of.model);
  const part = { version: source?.version ?? "", size, step: STEP };
  const still = thumbnailUrl(of, { ...part, frames: 1 }), moving = thumbnailUrl(of, { ...part, frames });

  useEffect(() => {
    const element = /** @type {HTMLElement} */ (box.current);
    observed.set(element, (is) => { isVisible.value = is; });
    observer.observe(element);
    return () => { observer.unobserve(element); observed.delete(element); };
  }, []);

  const isWanted = isVisible.value && Boolean(source?.ready);
  useEffect(() => {
    if (!isWanted || shown.value.url === moving) return;
    let cancel = () => {};
    /** @param {string} url @param {number} count @param {() => void} then */
    const load = (url, count, then) => {
      const show = (/** @type {string} */ src, /** @type {string} */ error) => {
        shown.value = { model: of.model, url, src, frames: count, error };
        if (!error) then();
      };
      const src = keptSprite(url);
      if (src) show(src, "");
      else cancel = loadSprite(url, priority + (count > 1 ? 1000 : 0), show);
    };
    const loadMoving = () => { if (frames > 1) load(moving, frames, () => {}); };
    if (frames > 1 && (keptSprite(moving) || shown.value.url === still)) loadMoving();
    else load(still, 1, loadMoving);
    return () => cancel();
  }, [isWanted, still, moving]);

  const { src, url, model, error } = shown.value;
  const ratio = (source?.width ?? 1) / (source?.height ?? 1);
  const isMoving = shown.value.frames > 1 && frames > 1;
  const isOld = url !== still && url !== moving;
  return html`
    <span class=${`thumbnail ${isOld ? "old" : ""}`} ref=${box} title=${error || undefined}>
      <span class="window" style=${{ width: `${100 * Math.min(1, ratio)}%`, height: `${100 * Math.min(1, 1 / ratio)}%` }}>
        ${src && model === of.model && html`<img src=${src} alt="" class=${isMoving ? "moving" : ""} draggable=${false}
          style=${{ width: `${100 * shown.value.frames}%`, animationDuration: `${STEP * frames}s`,
            animationTimingFunction: `steps(${frames})`, animationPlayState: isVisible.value ? "running" : "paused" }} />`}
      </span>
    </span>`;
}
