// A labeled row with the error of its control, and other small pieces of forms.
//
//     html`<${Field} label="Class" id="class" error="label"><select id="class">…</select><//>`
//     html`<${Choice} id="theme" label="Theme" options=${[["dark", "Dark"]]} value=${v} onChange=${set} />`

import { html } from "../core/ui.js";
import { errors } from "../core/state.js";

/** The error of a key, next to its control. @param {{ of: string }} props */
export function ErrorText({ of }) {
  const text = errors.value[of];
  return html`<p class="error" id=${`error-${of}`} role="alert" hidden=${!text}>${text}</p>`;
}

/** Attributes that tie a control to its error. @param {string | undefined} key */
export const errorProps = (key) =>
  (key && errors.value[key] ? { "aria-invalid": "true", "aria-describedby": `error-${key}` } : {});

/** @param {{ label: string, id: string, error?: string, children?: any }} props */
export const Field = ({ label, id, error, children }) => html`
  <div class="field">
    <label for=${id}>${label}</label>${children}
    ${error && html`<${ErrorText} of=${error} />`}
  </div>`;

/** @param {{ id: string, label: string, checked: boolean, onChange: (checked: boolean) => void }} props */
export const Check = ({ id, label, checked, onChange }) => html`
  <label class="check"><input id=${id} type="checkbox" checked=${checked}
    onChange=${(/** @type {any} */ event) => onChange(event.target.checked)} /> ${label}</label>`;

/** One of a few options, as a row of buttons.
 * @param {{ id: string, label: string, options: [any, string][], value: any, onChange: (value: any) => void,
 *   isDisabled?: boolean }} props */
export const Choice = ({ id, label, options, value, onChange, isDisabled }) => html`
  <fieldset class="choice" id=${id} disabled=${isDisabled}><legend class="hidden">${label}</legend>
    ${options.map(([option, text]) => html`
      <label key=${option}><input type="radio" name=${id} value=${option} checked=${option === value}
        onChange=${() => onChange(option)} /><span>${text}</span></label>`)}
  </fieldset>`;

/** @param {{ id: string, options: [any, string][], value: any, onChange: (value: string) => void, label?: string,
 *   error?: string }} props */
export const Select = ({ id, options, value, onChange, label, error }) => html`
  <select id=${id} aria-label=${label} value=${String(value)} ...${errorProps(error)}
    onChange=${(/** @type {any} */ event) => onChange(event.target.value)}>
    ${options.map(([option, text]) =>
      html`<option key=${option} value=${String(option)} selected=${option === value}>${text}</option>`)}
  </select>`;
