// Buttons: with text, with an icon, and those that wait for an action and show its error next to them.
//
//     html`<${IconButton} icon="dice" label="Random content" onClick=${roll} isPressed=${…} />`
//     html`<${ActionButton} id="export" text="Save video" busyText="Saving…" action=${async () => …} />`

import { html, useEffect, useSignal } from "../core/ui.js";

/** Outlines on a 24 × 24 grid. */
const ICONS = {
  undo: "M9 7 4 12l5 5M4 12h11a5 5 0 0 1 0 10h-3", redo: "m15 7 5 5-5 5M20 12H9a5 5 0 0 0 0 10h3",
  share: "M12 15V3m0 0L8 7m4-4 4 4M5 12v8h14v-8", fullscreen: "M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5",
  theme: "M12 3a9 9 0 1 0 0 18V3Zm0 0a9 9 0 0 1 0 18", help: "M9 9a3 3 0 1 1 4 2.8c-.7.3-1 .9-1 1.7v.5m0 3.5v.1",
  dice: "M4 4h16v16H4ZM8.5 8.5v.1m7-.1v.1m-7 6.9v.1m7-.1v.1M12 12v.1", play: "M7 4v16l13-8Z", pause: "M8 5v14M16 5v14",
  lock: "M6 11h12v9H6Zm2 0V8a4 4 0 0 1 8 0v3", unlock: "M6 11h12v9H6Zm2 0V8a4 4 0 0 1 7.6-1.7",
  copy: "M9 9h11v11H9ZM5 15H4V4h11v1", trash: "M5 7h14M10 7V4h4v3m3 0-1 13H8L7 7m3.5 4v5m3-5v5",
  plus: "M12 5v14M5 12h14", minus: "M5 12h14",
  close: "M6 6l12 12M18 6 6 18", heart: "M12 20C5 15 3 12 3 8.5A4.5 4.5 0 0 1 12 7a4.5 4.5 0 0 1 9 1.5C21 12 19 15 12 20Z",
  edit: "m14 6 4 4M4 20l1-5L16 4l4 4L9 19Z",
};

/** @param {{ name: keyof typeof ICONS }} props */
export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;

/** @param {{ icon: keyof typeof ICONS, label: string, onClick: () => void, id?: string, isDisabled?: boolean,
 *   isPressed?: boolean, kind?: string }} props isPressed makes it a toggle */
export const IconButton = ({ icon, label, onClick, id, isDisabled, isPressed, kind = "" }) => html`
  <button id=${id} type="button" class=${`icon-button ${kind}`} aria-label=${label} title=${label} disabled=${isDisabled}
    aria-pressed=${isPressed} onClick=${onClick}><${Icon} name=${icon} /></button>`;

/** @param {{ text: string, action: () => unknown, id?: string, busyText?: string, isDisabled?: boolean, kind?: string,
 *   of?: unknown }} props the action's error stands below the button until it succeeds, or `of`, its input, changes */
export function ActionButton({ text, action, id, busyText = text, isDisabled, kind = "", of }) {
  const isBusy = useSignal(false), error = useSignal("");
  useEffect(() => { error.value = ""; }, [of]);
  async function run() {
    isBusy.value = true;
    try {
      await action();
      error.value = "";
    } catch (problem) {
      error.value = /** @type {Error} */ (problem).message;
    }
    isBusy.value = false;
  }
  return html`
    <button id=${id} type="button" class=${kind} disabled=${isDisabled || isBusy.value} onClick=${run}>
      ${isBusy.value ? busyText : text}</button>
    <p class="error" role="alert" hidden=${!error.value}>${error.value}</p>`;
}
