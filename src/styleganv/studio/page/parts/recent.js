// The last states of this session, as pictures that lead back to them.

import { readQuery, toQuery, viewOf } from "../core/address.js";
import { settledView } from "../core/settled.js";
import { timeline } from "../core/timeline.js";
import { effect, html, signal, untracked } from "../core/ui.js";
import { Thumbnail } from "../widgets/thumbnail.js";

const [MAX_SHOWN, KEY] = [30, "recent"];

/** @returns {string[]} */
function stored() {
  try { return JSON.parse(sessionStorage.getItem(KEY) ?? "[]"); } catch { return []; }
}

/** Addresses, the latest first. */
const recent = signal(stored());

/** @param {string} query without what is no part of a state */
const bare = (query) => query.replace(/&(tab|play|t|side|fps|speed|b\.[a-z]+)=[^&]*/g, "");

effect(() => {
  const now = settledView.value;
  if (!now.model || timeline.peek()) return; // The controls follow a timeline.
  const query = bare(untracked(() => toQuery(0)));
  if (recent.peek().includes(query)) return;
  recent.value = [query, ...recent.peek()].slice(0, MAX_SHOWN);
  try { sessionStorage.setItem(KEY, JSON.stringify(recent.peek())); } catch { /* Private mode: until a reload. */ }
});

/** @type {import("./index.js").Part} */
export const recentStates = {
  place: "saved",
  title: "This session",
  Body: () => html`
    <div id="recent">${recent.value.map((query) => {
      const one = viewOf(query);
      return html`<button key=${query} type="button" class="end" title=${query} aria-label=${`Return to content ${one.content}, model ${one.model}`}
        onClick=${() => readQuery(query, true)}><${Thumbnail} of=${one} frames=${1} /></button>`;
    })}</div>`,
};
