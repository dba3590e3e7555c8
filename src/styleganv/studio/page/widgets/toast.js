// A short message that disappears by itself, for what succeeded. Errors stand next to their controls instead.
//
//     toast("Link copied");

import { html, signal } from "../core/ui.js";

const SHOWN_MS = 4000;
const message = signal("");
let timer = 0;

/** @param {string} text */
export function toast(text) {
  message.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => { message.value = ""; }, SHOWN_MS);
}

export const Toast = () => html`<p id="toast" role="status" class=${message.value ? "visible" : ""}>${message.value}</p>`;
