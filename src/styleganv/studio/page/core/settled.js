// The first video once its controls have come to rest: what thumbnails follow, which take longer than frames.

import { effect, signal, untracked } from "./ui.js";
import { view } from "./state.js";

const REST_MS = 350;

export const settledView = signal(view.a.peek());
let timer = 0;

effect(() => {
  const now = view.a.value;
  clearTimeout(timer);
  untracked(() => {
    if (now.model !== settledView.peek().model) settledView.value = now;
    else timer = setTimeout(() => { settledView.value = now; }, REST_MS);
  });
});
