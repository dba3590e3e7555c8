// A slider with a number entry. Double-click, or Delete, resets it.
//
//     html`<${Slider} id="psi" label="Psi" value=${psi} min=${0} max=${1.5} step=${0.05} reset=${1}
//       onInput=${(psi) => change({ psi })} error="psi" />`

import { html, useRef } from "../core/ui.js";
import { ErrorText, errorProps } from "./field.js";

/** @param {{ id: string, label: string, value: number, min: number, max: number, step: number, reset: number,
 *   onInput: (value: number) => void, error?: string, unit?: string, isDisabled?: boolean }} props */
export function Slider({ id, label, value, min, max, step, reset, onInput, error, unit, isDisabled }) {
  const isTyping = useRef(false);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  /** @param {any} event */
  const read = (event) => { if (event.target.value !== "") onInput(clamp(Number(event.target.value), min, max)); };
  /** @param {any} event */
  const leave = (event) => { isTyping.current = false; event.target.value = value.toFixed(digits); };
  return html`
    <div class="field slider">
      <label for=${id}>${label}</label>
      <input id=${id} type="range" min=${min} max=${max} step=${step} value=${value} disabled=${isDisabled}
        title="Double-click to reset" onInput=${read} onDblClick=${() => onInput(reset)} ...${errorProps(error)}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Delete") onInput(reset); }} />
      <input id=${`${id}-value`} class="number" type="number" min=${min} max=${max} step="any" aria-label=${`${label}, value`}
        value=${isTyping.current ? undefined : value.toFixed(digits)} disabled=${isDisabled}
        onInput=${(/** @type {any} */ event) => { isTyping.current = true; read(event); }} onBlur=${leave} />
      ${unit && html`<span class="unit">${unit}</span>`}
      ${error && html`<${ErrorText} of=${error} />`}
    </div>`;
}

/** @param {number} value @param {number} min @param {number} max */
export const clamp = (value, min, max) => Math.min(Math.max(value, min), max);
