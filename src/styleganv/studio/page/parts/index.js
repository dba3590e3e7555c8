// The parts of the page. To add one, write a file that exports a `Part`, and add it to this list.

import { clips } from "./clips.js";
import { compare } from "./compare.js";
import { content } from "./content.js";
import { directionName, directions } from "./directions.js";
import { exporting } from "./export.js";
import { favoriteDialog, favoritesList, heart } from "./favorites.js";
import { filmstrip } from "./filmstrip.js";
import { grid } from "./grid.js";
import { help } from "./help.js";
import { map } from "./map.js";
import { mix } from "./mix.js";
import { PERFORM } from "./perform.js";
import { playbackSettings } from "./playback.js";
import { project, projectDrop } from "./project.js";
import { queue } from "./queue.js";
import { recentStates } from "./recent.js";
import { comparison, search } from "./search.js";
import { slice, sliceView } from "./slice.js";
import { timelineView } from "./timeline.js";
import { training } from "./training.js";
import { walk } from "./walk.js";
import { watch } from "./watch.js";

/** @typedef {{ place: string, title?: string, isShown?: () => boolean, Body: () => any }} Part
 *   place: a tab of the panel ("explore", "edit", "create", "perform", "saved", "training"), "header", "video" (between
 *   the stage and the transport), "below" (the transport), "dialogs",
 *   or "page" (instead of the video)
 *   title: heading of a part in the panel
 *   isShown: whether the part applies to the present state; always without it */

/** In the order in which they appear. @type {Part[]} */
export const PARTS = [
  filmstrip,
  content, map, walk, compare, playbackSettings, slice, sliceView,
  directions, mix, clips, grid, search, comparison,
  project, exporting, queue, timelineView, projectDrop,
  ...PERFORM,
  training, ...watch,
  heart, favoriteDialog, favoritesList, recentStates, directionName,
  help,
];
