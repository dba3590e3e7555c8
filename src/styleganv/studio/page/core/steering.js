// Steering: values that change all the time, e.g. with music, at the pace of the frames.
//
//     steer(move)      move(seconds since its last call) is called once per frame until it returns false
//
// While something steers, nothing is requested ahead, since it would be outdated. Each frame is requested on its own, with
// the latest values, at the frame rate; or as soon as the one before it has arrived, if the model is slower. So frames
// come at equal distances at any speed of the model.

import { clock } from "./clock.js";
import { players, refresh } from "./playback.js";
import { batch } from "./ui.js";
import { transport } from "./state.js";

/** @typedef {(seconds: number) => boolean} Move */

const REST_MS = 300; // without a move, after which frames are requested ahead again
const PATIENCE_MS = 5000; // for an answer that may have been lost

/** @type {Set<Move>} */
const moves = new Set();
const last = { move: 0, due: 0, request: 0 };

/** @param {Move} move */
export function steer(move) {
  moves.add(move);
  last.move = performance.now();
  if (clock.isSteered) return;
  clock.isSteered = true;
  Object.assign(last, { due: last.move, request: last.move - 1000 / transport.fps.peek() });
  requestAnimationFrame(tick);
}

/** @param {number} now */
function tick(now) {
  if (now - last.move > REST_MS && !moves.size) { clock.isSteered = false; return; }
  requestAnimationFrame(tick);
  const isWaiting = [players.a, players.b].some((player) => player.isWaiting) && now - last.request < PATIENCE_MS;
  if (now < last.due || isWaiting) return;
  const interval = 1000 / transport.fps.peek();
  last.due = Math.max(last.due + interval, now); // Late frames are not made up for.
  const seconds = (now - last.request) / 1000;
  last.request = now;
  const before = players.a.revision;
  batch(() => moves.forEach((move) => { if (move(seconds)) last.move = now; else moves.delete(move); }));
  // Where nothing has changed, e.g. while the music holds a level, the video plays on.
  if (players.a.revision === before && transport.isPlaying.peek()) refresh();
}
