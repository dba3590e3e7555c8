// Two dialogs: the keyboard shortcuts, and the appearance.

import { addShortcut, shortcuts } from "../core/shortcuts.js";
import { MOTIONS, THEMES, motion, theme } from "../core/theme.js";
import { html, signal } from "../core/ui.js";
import { Dialog } from "../widgets/dialog.js";
import { Choice } from "../widgets/field.js";

export const isHelpOpen = signal(false);
export const isAppearanceOpen = signal(false);

addShortcut("?", "?", "Show this help", () => { isHelpOpen.value = true; }, true);

/** @param {string[]} names */
const capitalized = (names) => names.map((name) => [name, name[0].toUpperCase() + name.slice(1)]);

/** @type {import("./index.js").Part} */
export const help = {
  place: "dialogs",
  Body: () => html`
    <${Dialog} id="help" title="Help" isOpen=${isHelpOpen}>
      <p>Every control takes effect while the video plays. The address of the page describes its state: reload it,
        bookmark it, or send it to a colleague. Back is undo.</p>
      <p>Double-click a slider to reset it. A locked seed keeps its value.</p>
      <dl>${[...shortcuts.values()].filter(({ keys }) => keys).map(({ keys, text }) =>
        html`<div><dt><kbd>${keys}</kbd></dt><dd>${text}</dd></div>`)}</dl>
    <//>
    <${Dialog} id="appearance-dialog" title="Appearance" isOpen=${isAppearanceOpen}>
      <p>Colors</p>
      <${Choice} id="theme" label="Colors" options=${capitalized(THEMES)} value=${theme.value}
        onChange=${(/** @type {string} */ name) => { theme.value = name; }} />
      <p>Motion of the page, not of the video</p>
      <${Choice} id="motion" label="Motion of the page" options=${capitalized(MOTIONS)} value=${motion.value}
        onChange=${(/** @type {string} */ name) => { motion.value = name; }} />
    <//>`,
};
