// A seed: a text entry with a dice and a lock. A locked seed keeps its value until it is unlocked.
//
//     html`<${Seed} id="seed" label="Content" name="content" value=${text} onChange=${(text) => …}
//       onDice=${() => randomize("content")} lock=${locks.content} />`

import { html, useEffect, useRef } from "../core/ui.js";
import { setError } from "../core/state.js";
import { termProblem } from "../core/notation.js";
import { seedOf } from "../core/notation.js";
import { IconButton } from "./button.js";
import { ErrorText, errorProps } from "./field.js";

/** @param {{ id: string, label: string, name: string, value: string, onChange: (text: string) => void,
 *   onDice: () => void, lock?: { value: boolean } }} props name: key of its error */
export function Seed({ id, label, name, value, onChange, onDice, lock }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const isLocked = lock?.value ?? false;
  // What is typed stays while it is wrong, and until the value changes from elsewhere.
  useEffect(() => {
    setError(name, "");
    if (input.current && input.current.value !== value) input.current.value = value;
  }, [value]);
  /** @param {string} text */
  function read(text) {
    const problem = termProblem(text.trim()), seed = seedOf(text.trim());
    const next = seed === null ? text.trim() : String(seed);
    setError(name, problem);
    if (!problem && next !== value) onChange(next);
  }
  /** @param {KeyboardEvent} event */
  function step(event) {
    const seed = seedOf(value), offset = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!offset || seed === null || isLocked) return;
    event.preventDefault();
    read(String(Math.max(0, seed + offset)));
  }
  return html`
    <div class="field seed">
      <label for=${id}>${label}</label>
      <input id=${id} ref=${input} type="text" inputmode="numeric" autocomplete="off" spellcheck=${false}
        defaultValue=${value} readOnly=${isLocked} ...${errorProps(name)} onKeyDown=${step}
        onInput=${(/** @type {any} */ event) => read(event.target.value)} />
      <${IconButton} id=${`${id}-dice`} icon="dice" label=${`Random ${label.toLowerCase()}`} onClick=${onDice}
        isDisabled=${isLocked} />
      ${lock && html`<${IconButton} id=${`${id}-lock`} icon=${isLocked ? "lock" : "unlock"} isPressed=${isLocked}
        label=${`Lock ${label.toLowerCase()}`} onClick=${() => { lock.value = !lock.value; }} />`}
      <${ErrorText} of=${name} />
    </div>`;
}
