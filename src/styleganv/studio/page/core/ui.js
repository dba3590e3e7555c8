// What parts and widgets are made of: Preact, its hooks, signals, and `html`, which replaces JSX.
//
//     html`<button onClick=${save}>${text}</button>`      a component that reads `signal.value` follows it

import { h } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { render } from "../vendor/preact.js";
export { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.js";
export { batch, computed, effect, signal, untracked, useComputed, useSignal } from "../vendor/signals.js";

export const html = htm.bind(h);
