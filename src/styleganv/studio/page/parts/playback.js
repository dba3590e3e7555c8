// Speed and frame rate, as far as the source has a choice.

import { html } from "../core/ui.js";
import { resetAll, source, transport } from "../core/state.js";
import { Slider } from "../widgets/slider.js";

const [MIN_SPEED, MAX_SPEED] = [1 / 16, 4];

/** @type {import("./index.js").Part} */
export const playbackSettings = {
  place: "explore",
  title: "Playback",
  Body: () => {
    const isFixed = !source.value?.supports_any_fps;
    return html`
      <${Slider} id="speed" label="Speed" unit="×" value=${transport.speed.value} min=${MIN_SPEED} max=${MAX_SPEED}
        step=${1 / 16} reset=${1} isDisabled=${isFixed} onInput=${(/** @type {number} */ value) => { transport.speed.value = value; }} />
      <${Slider} id="fps" label="Frame rate" unit="fps" value=${transport.fps.value} min=${1} max=${60} step=${1} error="fps"
        reset=${Math.round(source.value?.fps ?? 25)} isDisabled=${isFixed}
        onInput=${(/** @type {number} */ value) => { transport.fps.value = value; }} />
      <button id="reset" type="button" onClick=${resetAll}>Reset all</button>`;
  },
};
