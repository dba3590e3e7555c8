// The filmstrip below the transport: the seeds around the present one, as many as are scrolled to.

import { MAX_SEED, seedOf } from "../core/notation.js";
import { settledView } from "../core/settled.js";
import { addShortcut } from "../core/shortcuts.js";
import { isMotionReduced } from "../core/theme.js";
import { computed, html, signal, useEffect, useLayoutEffect, useRef } from "../core/ui.js";
import { change, source, view } from "../core/state.js";
import { Choice } from "../widgets/field.js";
import { isLocked } from "../widgets/lock.js";
import { Thumbnail } from "../widgets/thumbnail.js";

/** @typedef {"content" | "motion"} Kind */

const [BEFORE, AFTER, MAX_SHOWN] = [16, 24, 240]; // seeds
const kind = signal(/** @type {Kind} */ ("content"));
const range = signal([0, AFTER]);

/** The seed that plays, or null. */
const present = computed(() => {
  const { content, motion } = view.a.value;
  return seedOf(kind.value === "content" ? content : motion ?? content);
});

/** @param {number} seed */
function select(seed) {
  const which = kind.peek();
  if (seed < 0 || seed > MAX_SEED) return;
  if (!isLocked(which)) change({ [which]: String(seed) });
}

/** @param {number} offset */
const step = (offset) => () => { const seed = present.peek(); if (seed !== null) select(seed + offset); };

addShortcut(",", ", .", "Previous or next seed of the filmstrip", step(-1));
addShortcut(".", "", "", step(1));

/** Show seeds around one. @param {number} seed */
function show(seed) {
  const [first, last] = range.peek();
  if (seed < first || seed > last) range.value = [Math.max(0, seed - BEFORE), Math.min(MAX_SEED, seed + AFTER)];
}

/** Add seeds at the end that comes into view. @param {HTMLElement} strip */
function extend(strip) {
  const [first, last] = range.peek();
  const { scrollLeft, scrollWidth, clientWidth } = strip;
  if (scrollLeft < clientWidth && first > 0) {
    const next = Math.max(0, first - AFTER);
    range.value = [next, Math.min(last, next + MAX_SHOWN)];
  } else if (scrollLeft > scrollWidth - 2 * clientWidth && last < MAX_SEED) {
    range.value = [first, Math.min(MAX_SEED, last + AFTER)];
  }
}

/** @param {KeyboardEvent} event */
function move(event) {
  const offset = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!offset) return;
  event.preventDefault();
  step(offset)();
}

function Strip() {
  const strip = useRef(/** @type {HTMLElement | null} */ (null));
  const which = kind.value, now = present.value;
  if (now !== null) show(now);
  const [first, last] = range.value;
  const shown = useRef({ key: "", first: 0 });
  useLayoutEffect(() => {
    const box = /** @type {HTMLElement} */ (strip.current), before = shown.current, key = `${which} ${now}`;
    const current = /** @type {HTMLElement | null} */ (box.querySelector("[aria-selected=true]"));
    shown.current = { key, first };
    if (key === before.key) { // Seeds added on the left move nothing.
      if (first < before.first) box.scrollLeft += (before.first - first) * /** @type {HTMLElement} */ (box.firstElementChild).offsetWidth;
    } else if (current) {
      const left = current.offsetLeft - (box.clientWidth - current.clientWidth) / 2;
      const isFar = first !== before.first || Math.abs(left - box.scrollLeft) > box.clientWidth;
      box.scrollTo({ left, behavior: isFar || isMotionReduced() ? "instant" : "smooth" });
      if (box.contains(document.activeElement)) current.focus({ preventScroll: true });
    }
  });
  useEffect(() => { if (strip.current) extend(strip.current); }, []);
  const base = { ...settledView.value, grid: null };
  const seeds = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  return html`
    <div id="seeds" ref=${strip} role="listbox" aria-orientation="horizontal" aria-label=${`Seeds of ${which}`}
      onKeyDown=${move} onScroll=${(/** @type {any} */ event) => extend(event.currentTarget)}>
      ${seeds.map((seed) => html`
        <div key=${seed} role="option" class="seed-option" data-moves data-seed=${seed} aria-selected=${seed === now}
          aria-label=${`${which} ${seed}`} tabindex=${seed === (now ?? first) ? 0 : -1} onClick=${() => select(seed)}>
          <${Thumbnail} of=${{ ...base, [which]: String(seed) }} priority=${Math.abs(seed - (now ?? first))} />
          <span class="badge">${seed}</span></div>`)}
    </div>`;
}

const OPTIONS = /** @type {[Kind, string][]} */ ([["content", "Content"], ["motion", "Motion"]]);

/** @type {import("./index.js").Part} */
export const filmstrip = {
  place: "below",
  isShown: () => Boolean(source.value?.ready),
  Body: () => {
    const hasMotion = source.value?.supports_motion_seed;
    if (!hasMotion) kind.value = "content";
    return html`
      <section id="filmstrip" aria-label="Filmstrip">
        ${hasMotion && html`<${Choice} id="filmstrip-kind" label="Seeds of" options=${OPTIONS} value=${kind.value}
          onChange=${(/** @type {Kind} */ which) => { kind.value = which; }} />`}
        <${Strip} key=${kind.value} />
      </section>`;
  },
};
