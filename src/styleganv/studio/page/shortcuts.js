// Keyboard shortcuts.

import { randomizeUnlocked, setMotionSeed, setSeed } from "./content.js";
import { $, on, randomSeed } from "./dom.js";
import { jump, togglePlay } from "./playback.js";
import { clock } from "./state.js";

const jumpBy = (seconds) => (event) => jump(clock.time + seconds * (event.shiftKey ? 10 : 1));
const showShortcuts = () => $("shortcuts-dialog").showModal();
const actions = {
  " ": togglePlay,
  ArrowLeft: jumpBy(-1),
  ArrowRight: jumpBy(1),
  c: () => setSeed(randomSeed()),
  m: () => setMotionSeed(randomSeed()),
  s: randomizeUnlocked,
  0: () => jump(0),
  x: () => $("show-slice").click(),
  "?": showShortcuts,
};

addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input:not([type=checkbox]), select, dialog *");
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
  const action = actions[event.key];
  if (!action || (event.key === " " && event.target.matches("button, [type=checkbox]"))) return;
  event.preventDefault();
  action(event);
});
on("show-shortcuts", "click", showShortcuts);
