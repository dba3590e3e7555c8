// A short message that disappears by itself, for what succeeded. Errors stand next to their controls instead.
//
//     toast("Link copied");      toast("Deleted.", "Undo", restore)

import { html, signal } from "../core/ui.js";

const SHOWN_MS = 4000;
const message = signal("");
const action = signal({ text: "", run: () => {} });
let timer = 0;

/** @param {string} text @param {string} actionText of a button @param {() => void} run what it does */
export function toast(text, actionText = "", run = () => {}) {
  message.value = text;
  action.value = { text: actionText, run };
  clearTimeout(timer);
  timer = setTimeout(() => { message.value = ""; }, SHOWN_MS);
}

export const Toast = () => html`
  <p id="toast" role="status" class=${message.value ? "visible" : ""}>${message.value}
    ${message.value && action.value.text && html` <button id="toast-action" type="button"
      onClick=${() => { message.value = ""; action.value.run(); }}>${action.value.text}</button>`}</p>`;
