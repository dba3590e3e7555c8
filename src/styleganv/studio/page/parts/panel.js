// The panel beside the stage: one tab per place that has parts, and the places elsewhere on the page.

import { html } from "../core/ui.js";
import { tab } from "../core/state.js";
import { PARTS } from "./index.js";

const TABS = [
  ["explore", "Explore"], ["edit", "Edit"], ["create", "Create"], ["perform", "Perform"], ["saved", "Saved"],
  ["training", "Training"],
];

/** @param {string} place */
const partsAt = (place) => PARTS.filter((part) => part.place === place && (part.isShown?.() ?? true));

/** The parts of a place outside the panel. @param {{ name: string }} props */
export const Place = ({ name }) => partsAt(name).map(({ Body }) => html`<${Body} />`);

/** @param {KeyboardEvent} event */
function move(event) {
  const offset = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!offset || event.defaultPrevented) return;
  const tabs = [.../** @type {Element} */ (event.currentTarget).children];
  const at = tabs.indexOf(/** @type {Element} */ (document.activeElement));
  const next = /** @type {HTMLElement} */ (tabs[(at + offset + tabs.length) % tabs.length]);
  next.focus();
  next.click();
}

export function Panel() {
  // A tab without parts does not exist yet, or not for this source.
  const tabs = TABS.filter(([name]) => partsAt(name).length);
  const current = tabs.some(([name]) => name === tab.value) ? tab.value : tabs[0][0];
  return html`
    <aside id="panel" aria-label="Settings">
      <div role="tablist" aria-label="Settings" onKeyDown=${move}>
        ${tabs.map(([name, text]) => html`
          <button key=${name} id=${`tab-${name}`} role="tab" type="button" aria-selected=${name === current}
            aria-controls="tab-panel" tabindex=${name === current ? 0 : -1} onClick=${() => { tab.value = name; }}>
            ${text}</button>`)}
      </div>
      <div id="tab-panel" key=${current} role="tabpanel" aria-labelledby=${`tab-${current}`} tabindex="0">
        ${partsAt(current).map(({ title, Body }) => html`
          <section key=${title} class="group">${title && html`<h2>${title}</h2>`}<${Body} /></section>`)}
      </div>
    </aside>`;
}
