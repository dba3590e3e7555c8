// What a favorite contains: a project file, with its address in a comment.

import { readQuery } from "./address.js";
import { jump } from "./playback.js";

/** @typedef {import("./protocol.js").Favorite} Favorite */

/** The address that a favorite was saved with. @param {Favorite} favorite */
export const queryOf = ({ project }) => /^# (\?.*)$/m.exec(project)?.[1] ?? "?";

/** @param {Favorite} favorite */
export function openFavorite(favorite) {
  const query = queryOf(favorite);
  readQuery(query, true);
  jump(Number(new URLSearchParams(query).get("t") ?? 0));
}
