// The parts of the page. To add one, write a file that exports a `Part`, and add it to this list.

import { compare } from "./compare.js";
import { content } from "./content.js";
import { directions } from "./directions.js";
import { exporting } from "./export.js";
import { grid } from "./grid.js";
import { help } from "./help.js";
import { mix } from "./mix.js";
import { playbackSettings } from "./playback.js";
import { project, projectDrop } from "./project.js";
import { queue } from "./queue.js";
import { comparison, search } from "./search.js";
import { slice, sliceView } from "./slice.js";
import { timelineView } from "./timeline.js";
import { training } from "./training.js";
import { watch } from "./watch.js";

/** @typedef {{ place: string, title?: string, isShown?: () => boolean, Body: () => any }} Part
 *   place: a tab of the panel ("explore", "edit", "create", "perform", "saved", "training"), "header", "video" (between
 *   the stage and the transport), "below" (the transport), "dialogs",
 *   or "page" (instead of the video)
 *   title: heading of a part in the panel
 *   isShown: whether the part applies to the present state; always without it */

/** In the order in which they appear. @type {Part[]} */
export const PARTS = [
  content, compare, playbackSettings, slice, sliceView,
  directions, mix, grid, search, comparison,
  project, exporting, queue, timelineView, projectDrop,
  training, ...watch,
  help,
];
