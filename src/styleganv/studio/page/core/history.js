// Undo and redo: back and forward in the history of the page, whose entries are addresses.
//
// The first change of a gesture adds an entry; further ones replace it until the control rests. So back leads to the state
// before the gesture. The time that plays is kept up to date without entries.

import { readQuery, toQuery } from "./address.js";
import { selected, timeline } from "./timeline.js";
import { effect, signal } from "./ui.js";
import { view } from "./state.js";

const REST_MS = 700; // without a change, after which the next one is a new gesture
const WRITE_MS = 350; // between writes: browsers allow few per second
const TIME_MS = 2000;
const STEP_MS = 1000; // after which a step back or forward is given up

export const history = { canUndo: signal(false), canRedo: signal(false) };
/** The entry that is shown, and the last one that redo leads to. */
let [depth, lastDepth] = [0, 0];
/** Steps that the browser has not taken yet. */
const steps = { sum: 0, number: 0, askedAt: 0 };

export const undo = () => step(-1);
export const redo = () => step(1);

/** @param {number} offset */
function step(offset) {
  if (offset < 0 ? !history.canUndo.peek() : !history.canRedo.peek()) return;
  Object.assign(steps, { sum: steps.sum + offset, number: steps.number + 1, askedAt: performance.now() });
  showSteps();
  window.history.go(offset);
}

function showSteps() {
  history.canUndo.value = depth + steps.sum > 0;
  history.canRedo.value = depth + steps.sum < lastDepth;
}

/** Follow the state, and read it again on back and forward. Time, pauses and tabs are no steps. */
export function followAddress() {
  depth = Number(window.history.state?.depth ?? 0);
  // A page that is opened anew, not reloaded, has nothing to redo.
  lastDepth = window.history.state ? Math.max(depth, Number(sessionStorage.getItem("history-depth") ?? 0)) : 0;
  let [changedAt, writtenAt, timer] = [-Infinity, 0, 0];
  let lastVideo = "";
  /** By depth: an entry is written a moment later, perhaps after a step back from it. @type {Map<number, string>} */
  const queries = new Map();

  const entry = () => ({ depth, selected: selected.peek() });

  function write() {
    clearTimeout(timer);
    timer = 0;
    writtenAt = performance.now();
    if (steps.number && writtenAt - steps.askedAt < STEP_MS) return; // A write cancels steps; the last one writes.
    steps.sum = steps.number = 0;
    const query = toQuery();
    // A needless write could cancel a step by the browser's own buttons.
    const isNew = query !== location.search || JSON.stringify(window.history.state) !== JSON.stringify(entry());
    if (isNew) window.history.replaceState(entry(), "", query);
    showSteps();
    sessionStorage.setItem("history-depth", String(lastDepth));
  }

  effect(() => {
    const query = toQuery(0); // reads all signals of the state
    const video = timeline.value ? JSON.stringify([view.a.value.model, timeline.value]) : query.replace(/&(tab|play)=[^&]*/g, "");
    const [isStep, now] = [lastVideo && video !== lastVideo, performance.now()];
    lastVideo = video;
    if (isStep && now - changedAt > REST_MS) {
      depth += 1;
      lastDepth = depth;
      steps.number = 0;
      window.history.pushState(entry(), "", query);
      write();
    } else timer ||= setTimeout(write, Math.max(0, WRITE_MS - (now - writtenAt)));
    queries.set(depth, query);
    if (isStep) changedAt = now;
  });
  addEventListener("popstate", (event) => {
    const before = depth;
    depth = Number(event.state?.depth ?? 0);
    if (steps.number) Object.assign(steps, { sum: steps.sum - (depth - before), number: steps.number - 1 });
    changedAt = performance.now(); // reading is no step
    readQuery(queries.get(depth) ?? location.search, true);
    changedAt = -Infinity;
    write();
  });
  setInterval(() => { if (document.visibilityState === "visible" && !timer) write(); }, TIME_MS);
  write();
}
