// A dialog over the page. Escape and its button close it; the focus returns to where it was.
//
//     const isOpen = signal(false);
//     html`<${Dialog} id="help" title="Help" isOpen=${isOpen}>…<//>`

import { html, useEffect, useRef } from "../core/ui.js";
import { IconButton } from "./button.js";

/** @param {{ id: string, title: string, isOpen: { value: boolean }, children?: any }} props */
export function Dialog({ id, title, isOpen, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const open = isOpen.value;
  useEffect(() => {
    if (open && !dialog.current?.open) dialog.current?.showModal();
    if (!open && dialog.current?.open) dialog.current.close();
  }, [open]);
  return html`
    <dialog id=${id} ref=${dialog} aria-labelledby=${`${id}-title`} onClose=${() => { isOpen.value = false; }}>
      ${open && html`
        <header><h2 id=${`${id}-title`}>${title}</h2>
          <${IconButton} icon="close" label="Close" onClick=${() => { isOpen.value = false; }} /></header>
        ${children}`}
    </dialog>`;
}
