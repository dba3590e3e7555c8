// The time that is playing. Both stages follow it.

import { signal } from "./ui.js";

/** Seconds of the video, which change with every tick, so nothing renders on them; `period`: of a loop, which they count on
 * beyond; `isSteered`: see core/steering.js. */
export const clock = { time: 0, last: performance.now(), period: Infinity, isSteered: false };
/** The time for controls, updated a few times per second; in a loop, within it. */
export const displayedTime = signal(0);

export function showTime() { displayedTime.value = clock.time % clock.period; }
