// Keyboard shortcuts. The help dialog lists those that parts have added.
//
//     addShortcut("x", "x", "Show or hide the x–t slice", () => …)
//
// They work wherever the focus is, except while text is entered or a dialog is open. A control that was reached with the
// Tab key keeps the keys that it needs itself; one that was clicked does not. Pages without a video only have those for
// `everywhere`.

import { page } from "./state.js";

/** @typedef {{ keys: string, text: string, run: (event: KeyboardEvent) => void, everywhere: boolean }} Shortcut */

/** By `KeyboardEvent.key`. @type {Map<string, Shortcut>} */
export const shortcuts = new Map();

/** @param {string} key @param {string} keys as the help dialog shows them; empty for another key of a shortcut
 * @param {string} text @param {(event: KeyboardEvent) => void} run */
export function addShortcut(key, keys, text, run, everywhere = false) {
  shortcuts.set(key, { keys, text, run, everywhere });
}

const TEXT = "input:is([type=text], [type=number], [type=search], :not([type])), textarea, [contenteditable]";
const MOVES = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
let wasReachedByKey = false;

/** @param {Element} element @param {string} key */
function needs(element, key) {
  if (element.matches("video")) return MOVES.includes(key) || key === " ";
  if (element.matches("select")) {
    const isOpen = CSS.supports("selector(:open)") && element.matches(":open");
    return isOpen || (wasReachedByKey && (MOVES.includes(key) || key === " " || key.length === 1));
  }
  if (!wasReachedByKey) return false;
  if (element.matches("[type=range], [type=radio], [role=tab], [data-moves]")) return MOVES.includes(key) || key === " ";
  return key === " " && element.matches("button, [type=checkbox], [type=file], summary, a");
}

/** @param {KeyboardEvent} event */
function find(event) {
  const element = /** @type {Element} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || element.matches(TEXT)) return;
  if (document.querySelector("dialog:modal")) return;
  const shortcut = needs(element, event.key) ? undefined : shortcuts.get(event.key);
  return page.peek().kind === "video" || shortcut?.everywhere ? shortcut : undefined;
}

export function followKeys() {
  addEventListener("pointerdown", () => { wasReachedByKey = false; }, true);
  addEventListener("keydown", (event) => {
    if (event.key === "Tab") wasReachedByKey = true;
    const shortcut = find(event);
    if (!shortcut) return;
    event.preventDefault();
    shortcut.run(event);
  });
  // A button would be pressed when the key is released.
  addEventListener("keyup", (event) => { if (event.key === " " && find(event)) event.preventDefault(); });
}
