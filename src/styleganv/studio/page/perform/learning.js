// Learning: while it is on, a click on a control selects it instead of using it, and the next input becomes its mapping.

import { effect } from "../core/ui.js";
import { learning } from "./mappings.js";
import { allTargets } from "./targets.js";

const EVENTS = ["pointerdown", "mousedown", "touchstart", "click", "dblclick", "input", "change"];
const outlines = new CSSStyleSheet();

/** Return the target of a control. @param {EventTarget | null} element */
function targetOf(element) {
  const control = element instanceof Element ? element.closest("label, input, button, select") : null;
  const id = control instanceof HTMLLabelElement ? control.htmlFor : control?.id;
  return id ? allTargets().find(({ controls = [] }) => controls.includes(id)) : undefined;
}

/** @param {Event} event */
function select(event) {
  const target = learning.peek() && targetOf(event.target);
  if (!target) return;
  event.preventDefault();
  event.stopPropagation();
  if (event.type === "click") learning.value = { target: target.key };
}

/** @param {Event} event */
function cancel(event) {
  if (learning.peek() && /** @type {KeyboardEvent} */ (event).key === "Escape") learning.value = null;
}

export function followLearning() {
  EVENTS.forEach((name) => addEventListener(name, select, { capture: true, passive: false }));
  addEventListener("keydown", cancel);
  document.adoptedStyleSheets.push(outlines);
  effect(() => {
    const state = learning.value;
    const rules = !state ? [] : allTargets().flatMap(({ key, controls = [] }) => controls.map((id) =>
      `[id=${JSON.stringify(id)}] { outline: 2px ${key === state.target ? "solid" : "dashed"} var(--accent); outline-offset: 2px; }`));
    outlines.replaceSync(rules.join("\n"));
  });
}
