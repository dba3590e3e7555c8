// Thumbnails from the server: few requests at a time, the important ones first. Pictures are kept for later.
//
//     const cancel = loadSprite(url, 0, (src, error) => …)

import { request } from "./api.js";

/** @typedef {{ url: string, priority: number, done: (src: string, error: string) => void, abort: AbortController }} Entry */

const [MAX_OPEN, MAX_KEPT] = [2, 600];

/** Object URLs by address, the latest last. @type {Map<string, string>} */
const kept = new Map();
/** @type {Set<Entry>} */
const waiting = new Set();
let numOpen = 0;

/** Return a picture that has been loaded before, or "". @param {string} url */
export const keptSprite = (url) => kept.get(url) ?? "";

/** @param {string} url @param {string} src */
function keep(url, src) {
  kept.set(url, src);
  for (const [oldest, old] of kept) {
    if (kept.size <= MAX_KEPT) return;
    kept.delete(oldest);
    URL.revokeObjectURL(old);
  }
}

function next() {
  if (numOpen >= MAX_OPEN || !waiting.size) return;
  const entry = [...waiting].reduce((best, one) => (one.priority < best.priority ? one : best));
  waiting.delete(entry);
  numOpen += 1;
  load(entry).finally(() => { numOpen -= 1; next(); });
}

/** @param {Entry} entry */
async function load({ url, done, abort }) {
  try {
    const src = kept.get(url) || URL.createObjectURL(await (await request(url, { signal: abort.signal })).blob());
    keep(url, src);
    if (!abort.signal.aborted) done(src, "");
  } catch (error) {
    if (!abort.signal.aborted) done("", /** @type {Error} */ (error).message);
  }
}

/** Return a function that cancels the request. @param {string} url @param {number} priority smaller is earlier
 * @param {(src: string, error: string) => void} done */
export function loadSprite(url, priority, done) {
  const entry = { url, priority, done, abort: new AbortController() };
  waiting.add(entry);
  next();
  return () => { waiting.delete(entry); entry.abort.abort(); };
}
