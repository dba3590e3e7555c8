// Appearance: colors and motion follow the system unless the user chooses otherwise.

import { effect, signal } from "./ui.js";

/** @param {string} name @param {string[]} choices the first is the default */
function stored(name, choices) {
  const value = localStorage.getItem(name) ?? "";
  const choice = signal(choices.includes(value) ? value : choices[0]);
  effect(() => {
    document.documentElement.dataset[name] = choice.value;
    localStorage.setItem(name, choice.value);
  });
  return choice;
}

export const THEMES = ["system", "light", "dark"];
export const MOTIONS = ["system", "reduced", "full"];
export const theme = stored("theme", THEMES);
export const motion = stored("motion", MOTIONS);

const query = matchMedia("(prefers-reduced-motion: reduce)");
const systemReduces = signal(query.matches);
query.addEventListener("change", () => { systemReduces.value = query.matches; });
export const isMotionReduced = () => (motion.value === "system" ? systemReduces.value : motion.value === "reduced");
