// What goes wrong in a run, in words, and the section of the documentation that helps.

import { getJson } from "../core/api.js";
import { html, signal } from "../core/ui.js";
import { Dialog } from "../widgets/dialog.js";

/** @typedef {{ title: string, text: string }} Section Markdown */
const section = signal(/** @type {Section | null} */ (null));
const isOpen = { get value() { return section.value !== null; }, set value(open) { if (!open) section.value = null; } };

/** @param {string} anchor */
async function open(anchor) {
  try {
    section.value = await getJson(`api/help/${encodeURIComponent(anchor)}`);
  } catch (error) {
    section.value = { title: "Documentation", text: /** @type {Error} */ (error).message };
  }
}

/** @param {{ run: import("../core/runs.js").Run }} props */
export const Findings = ({ run }) => html`
  ${run.failure && run.state !== "running" && html`<p class="error" role="alert">Not resumed: ${run.failure}</p>`}
  ${run.findings.length > 0 && html`
    <ul class="findings" aria-label="Findings">${run.findings.map(({ name, severity, text, help }) => html`
      <li key=${name} class=${severity}><strong>${severity}</strong> ${text}${" "}
        <button type="button" class="link" onClick=${() => open(help.split("#")[1] ?? "")}>What helps</button></li>`)}
    </ul>`}`;

const INLINE = /`([^`]+)`|\*([^*]+)\*|\[([^\]]*)\]\(([^)]*)\)/g;

/** Return Markdown within a line: code, emphasis, and links, which lead to other sections of the same page or to none.
 * @param {string} line */
function inline(line) {
  const parts = [];
  let end = 0;
  for (const found of line.matchAll(INLINE)) {
    const [all, code, emphasis, text, target] = found;
    parts.push(line.slice(end, found.index));
    if (code) parts.push(html`<code>${code}</code>`);
    else if (emphasis) parts.push(html`<em>${emphasis}</em>`);
    else if (!target.startsWith("#")) parts.push(text);
    else parts.push(html`<button type="button" class="link" onClick=${() => open(target.slice(1))}>${text}</button>`);
    end = found.index + all.length;
  }
  return [...parts, line.slice(end)];
}

/** Return the blocks of Markdown: paragraphs and lists; pictures are left out. @param {string} text */
export function blocks(text) {
  return text.split(/\n\n+/).filter((block) => !block.startsWith("![")).map((block) => {
    if (!/^(\d+\.|-) /.test(block)) return html`<p>${inline(block.replaceAll("\n", " "))}</p>`;
    const items = block.split(/\n(?=(?:\d+\.|-) )/).map((item) => item.replace(/^(\d+\.|-) /, "").replace(/\n\s*/g, " "));
    return html`<ul>${items.map((item) => html`<li>${inline(item)}</li>`)}</ul>`;
  });
}

/** @type {import("./index.js").Part} */
export const documentation = {
  place: "dialogs",
  Body: () => html`
    <${Dialog} id="documentation" title=${section.value?.title ?? ""} isOpen=${isOpen}>
      ${blocks(section.value?.text ?? "")}<//>`,
};
