// The parts of the page. To add one, write a file that exports a `Part`, and add it to this list.

import { compare } from "./compare.js";
import { content } from "./content.js";
import { directions } from "./directions.js";
import { exporting } from "./export.js";
import { grid } from "./grid.js";
import { help } from "./help.js";
import { mix } from "./mix.js";
import { PERFORM } from "./perform.js";
import { playbackSettings } from "./playback.js";
import { comparison, search } from "./search.js";
import { slice, sliceView } from "./slice.js";
import { training } from "./training.js";

/** @typedef {{ place: string, title?: string, isShown?: () => boolean, Body: () => any }} Part
 *   place: a tab of the panel ("explore", "edit", "create", "perform", "saved", "training"), "header", "video" (between
 *   the stage and the transport), "below" (the transport) or "dialogs"
 *   title: heading of a part in the panel
 *   isShown: whether the part applies to the present state; always without it */

/** In the order in which they appear. @type {Part[]} */
export const PARTS = [
  content, compare, playbackSettings, slice, sliceView,
  directions, mix, grid, search, comparison,
  exporting,
  ...PERFORM,
  training,
  help,
];
