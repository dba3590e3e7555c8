// The header: which source plays, undo and redo, the link to this state, full screen, appearance and help.

import { toQuery } from "../core/address.js";
import { history, redo, undo } from "../core/history.js";
import { addShortcut } from "../core/shortcuts.js";
import { html } from "../core/ui.js";
import { openSource, page, source, sources, view } from "../core/state.js";
import { IconButton } from "../widgets/button.js";
import { Select } from "../widgets/field.js";
import { toast } from "../widgets/toast.js";
import { isAppearanceOpen, isHelpOpen } from "./help.js";
import { Place } from "./panel.js";

async function share() {
  const link = location.origin + location.pathname + toQuery();
  try {
    await navigator.clipboard.writeText(link);
    toast("Link copied.");
  } catch {
    toast(`Copy this link: ${link}`); // Browsers allow the clipboard on HTTPS and on this machine only.
  }
}

const toggleFullscreen = () =>
  (document.fullscreenElement ? document.exitFullscreen() : document.getElementById("stage")?.requestFullscreen?.());

addShortcut("f", "f", "Full screen", toggleFullscreen);
addShortcut("u", "u", "Undo (with Shift: redo)", undo, true);
addShortcut("U", "", "", redo, true);

export function Header() {
  const name = view.a.value.model;
  const options = sources.value.map((one) => [one.name, `${one.name} (${one.title}, ${one.width}×${one.height})`]);
  const isVideo = page.value.kind === "video";
  if (!source.value) options.unshift([name, `${name} (not open)`]);
  return html`
    <header id="header">
      <h1>styleganv <span>studio</span></h1>
      ${isVideo && html`<${Select} id="model" label="Model" options=${options} value=${name} onChange=${openSource} />`}
      <span class="space"></span>
      <${IconButton} id="undo" icon="undo" label="Undo" onClick=${undo} isDisabled=${!history.canUndo.value} />
      <${IconButton} id="redo" icon="redo" label="Redo" onClick=${redo} isDisabled=${!history.canRedo.value} />
      <${Place} name="header" />
      <${IconButton} id="share" icon="share" label="Copy link" onClick=${share} />
      ${isVideo &&
        html`<${IconButton} id="fullscreen" icon="fullscreen" label="Full screen" onClick=${toggleFullscreen} />`}
      <${IconButton} id="appearance" icon="theme" label="Appearance"
        onClick=${() => { isAppearanceOpen.value = true; }} />
      <${IconButton} id="show-help" icon="help" label="Help" onClick=${() => { isHelpOpen.value = true; }} />
    </header>`;
}
