// Favorites: the heart saves what plays; the list opens, renames, deletes, and copies commands.

import { toQuery, viewOf } from "../core/address.js";
import { postJson, request } from "../core/api.js";
import { clock } from "../core/clock.js";
import { openFavorite, queryOf } from "../core/favorites.js";
import { commandBody, favoriteThumbnailUrl, fetchFavorites, paramsOf } from "../core/protocol.js";
import { addShortcut } from "../core/shortcuts.js";
import { isMotionReduced } from "../core/theme.js";
import { html, signal, useEffect } from "../core/ui.js";
import { setError, source, transport, view } from "../core/state.js";
import { ActionButton, IconButton } from "../widgets/button.js";
import { Dialog } from "../widgets/dialog.js";
import { ErrorText, Field } from "../widgets/field.js";
import { Thumbnail } from "../widgets/thumbnail.js";
import { toast } from "../widgets/toast.js";

/** @typedef {import("../core/protocol.js").Favorite} Favorite */

const UNDO_MS = 4500; // a little longer than its button is visible
const favorites = signal(/** @type {Favorite[] | null} */ (null));
const isSaving = signal(false), name = signal("");
/** Names that are deleted unless that is undone, and the timers of it. */
const leaving = signal(/** @type {Map<string, number>} */ (new Map()));

async function update() {
  try {
    favorites.value = await fetchFavorites();
    setError("favorites", "");
  } catch (error) { setError("favorites", /** @type {Error} */ (error).message); }
}

function ask() {
  const { model, content } = view.a.peek();
  name.value = `${model} ${content}`.replace(/[/\\:*?"<>|]+/g, "-").slice(0, 60);
  isSaving.value = true;
}

async function save() {
  const now = view.a.peek(), start = clock.time;
  const query = toQuery().replace(/&(tab|play|timeline)=[^&]*/g, "");
  const part = { start, seconds: 4, fps: transport.fps.peek(), speed: transport.speed.peek(), format: "mp4" };
  const { project } = await (await postJson("api/command", commandBody(now, part))).json();
  await postJson("api/favorites", { name: name.peek(), source: now.model, params: paramsOf(now), start, project: `# ${query}\n${project}` });
  isSaving.value = false;
  toast("Saved.");
  await update();
}

/** @param {Favorite} favorite @param {string} text */
async function rename(favorite, text) {
  try {
    await postJson("api/favorites/rename", { name: favorite.name, new_name: text });
    setError(`favorite-${favorite.name}`, "");
    await update();
  } catch (error) { setError(`favorite-${favorite.name}`, /** @type {Error} */ (error).message); }
}

/** @param {string} key @param {boolean} isLeaving */
function setLeaving(key, isLeaving, timer = 0) {
  const next = new Map(leaving.peek());
  if (isLeaving) next.set(key, timer); else next.delete(key);
  leaving.value = next;
}

/** @param {string} key */
async function remove(key) {
  try {
    await request(`api/favorites?${new URLSearchParams({ name: key })}`, { method: "DELETE", keepalive: true });
    await update();
  } catch (error) { setError(`favorite-${key}`, /** @type {Error} */ (error).message); }
  setLeaving(key, false);
}

/** @param {string} key */
function removeUnlessUndone(key) {
  setLeaving(key, true, setTimeout(() => remove(key), UNDO_MS));
  toast(`Deleted ${key}.`, "Undo", () => {
    clearTimeout(leaving.peek().get(key));
    setLeaving(key, false);
  });
}

addEventListener("pagehide", () => leaving.peek().forEach((timer, key) => { clearTimeout(timer); remove(key); }));

/** @param {string} text */
const quoted = (text) => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** @param {Favorite} favorite */
async function copyCommand({ name: key, file }) {
  const command = `styleganv render ${quoted(file)} --out ${quoted(`${key}.mp4`)}`;
  try {
    await navigator.clipboard.writeText(command);
    toast("Command copied.");
  } catch { toast(`Copy this command: ${command}`); }
}

/** @param {{ favorite: Favorite }} props */
const Item = ({ favorite }) => html`
  <li class="favorite">
    <button type="button" class="end" aria-label=${`Open ${favorite.name}`} onClick=${() => openFavorite(favorite)}>
      ${isMotionReduced() ? html`<${Thumbnail} of=${viewOf(queryOf(favorite))} frames=${1} />`
        : html`<img src=${favoriteThumbnailUrl(favorite)} alt="" />`}</button>
    <input type="text" aria-label=${`Name of ${favorite.name}`} defaultValue=${favorite.name} title=${favorite.file}
      onChange=${(/** @type {any} */ event) => rename(favorite, event.target.value)} />
    <${IconButton} icon="copy" label=${`Copy command of ${favorite.name}`} onClick=${() => copyCommand(favorite)} />
    <${IconButton} icon="trash" label=${`Delete ${favorite.name}`} onClick=${() => removeUnlessUndone(favorite.name)} />
    <${ErrorText} of=${`favorite-${favorite.name}`} />
  </li>`;

function Body() {
  useEffect(() => { update(); }, []);
  const shown = favorites.value?.filter((favorite) => !leaving.value.has(favorite.name));
  const folder = shown?.[0]?.file.split("/").slice(0, -1).join("/");
  return html`
    ${shown && (shown.length ? html`<ul id="favorites">${shown.map((one) => html`<${Item} key=${one.name} favorite=${one} />`)}</ul>
      <p class="hint">In the folder ${folder}.</p>` : html`<p class="hint">The heart above saves what plays.</p>`)}
    <${ErrorText} of="favorites" />`;
}

addShortcut("h", "h", "Save as a favorite", ask);

/** @type {import("./index.js").Part} */
export const favoritesList = { place: "saved", title: "Favorites", Body };

/** @type {import("./index.js").Part} */
export const heart = {
  place: "header",
  isShown: () => source.value?.kind !== "real",
  Body: () => html`<${IconButton} id="favorite" icon="heart" label="Save as a favorite" onClick=${ask} />`,
};

/** @type {import("./index.js").Part} */
export const favoriteDialog = {
  place: "dialogs",
  Body: () => html`
    <${Dialog} id="favorite-dialog" title="Save as a favorite" isOpen=${isSaving}>
      <${Field} id="favorite-name" label="Name"><input id="favorite-name" type="text" value=${name.value}
        onInput=${(/** @type {any} */ event) => { name.value = event.target.value; }}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") document.getElementById("save-favorite")?.click(); }} /><//>
      <${ActionButton} id="save-favorite" kind="primary" text="Save" busyText="Saving…" action=${save} of=${name.value} />
    <//>`,
};
