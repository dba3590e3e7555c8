// The time that is playing. Both stages follow it.

import { signal } from "./ui.js";

/** Seconds of the video; changes with every tick, so nothing renders on it. isSteered: see core/steering.js. */
export const clock = { time: 0, last: performance.now(), isSteered: false };
/** The same for controls, updated a few times per second. */
export const displayedTime = signal(0);

export function showTime() { displayedTime.value = clock.time; }
