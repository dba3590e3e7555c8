// Playback: the clock, the players of the two videos, their connections, and what restarts them.
//
//     jump(12.3); togglePlay();      players.a.frameListeners.add((canvas) => …)      after each frame

import { clock, showTime } from "./clock.js";
import { Player } from "./player.js";
import { fetchSources } from "./protocol.js";
import { rate, timeline, withTimeline } from "./timeline.js";
import { batch, computed, effect, signal, untracked } from "./ui.js";
import { findSource, isGliding, page, secondView, setError, source, sources, transport, view } from "./state.js";

const MAX_TICK_SECONDS = 0.25;
const TIME_MS = 200; // A browser that paints without a GPU is too slow to update the time on every tick.
const RECONNECT_MS = 1000;
const HUNG_MS = 60_000; // without an answer, after which a connection counts as lost, e.g. one from before the machine slept
const MAX_SECONDS = 1e12;
const OFFLINE = "Cannot reach the studio: check that it is running.";
const BLOCKED = "The studio answers, but not over WebSockets: check that no proxy blocks them.";

export const displayedFps = signal(0);

/** Keys of settings changed since the last response without an error. @type {Set<string>} */
const changedKeys = new Set();
/** The latest error that a response had, and the key of its control. */
let failure = { error: "", key: "" };

/** Note a change; the latest key comes last. @param {string} key */
function noteChange(key) { changedKeys.delete(key); changedKeys.add(key); }

// The control concerned is the one that changed last, and remains so while the error is the same. An error of all that
// an address states, or of another model, stands on the stage only.
/** @param {string} error */
function onAnswer(error) {
  const isSame = error === failure.error && failure.key;
  const key = !error || changedKeys.has("model") ? "" : isSame ? failure.key : [...changedKeys].at(-1) ?? "";
  if (failure.key && failure.key !== key) setError(failure.key, "");
  if (!error) changedKeys.clear();
  failure = { error, key };
  if (key) setError(key, error);
}

/** What the stages play: nothing while the page shows runs. */
const shown = {
  a: computed(() => (page.value.kind === "video" ? withTimeline(view.a.value) : null)),
  b: computed(() => {
    if (page.value.kind !== "video" || !secondView.value) return null;
    const isOtherModel = Object.keys(view.b.value ?? {}).every((key) => key === "model"); // only, so it has the same timeline
    return isOtherModel ? withTimeline(secondView.value) : secondView.value;
  }),
};
export const players = {
  a: new Player(() => shown.a.peek(), { onReset: wake, onAnswer, onEnd: () => jump(0) }),
  b: new Player(() => shown.b.peek(), { onReset: wake }),
};
const bothPlayers = [players.a, players.b];

/** @param {number} time */
export function jump(time) {
  setError("time", "");
  clock.time = Math.min(Math.max(0, time), MAX_SECONDS);
  const [now, line] = [source.peek(), timeline.peek()];
  if (line && !line.loop) clock.time = Math.min(clock.time, line.seconds);
  else if (now?.max_seconds != null) clock.time = Math.min(clock.time, now.max_seconds - 1 / now.fps);
  noteChange("time");
  showTime();
  refresh();
}

export function togglePlay() { transport.isPlaying.value = !transport.isPlaying.peek(); }

export function refresh() { bothPlayers.forEach((player) => { player.reset(); player.requestFrames(); }); }

/** Restart a player when its video changes. @param {Player} player
 * @param {{ value: import("./timeline.js").Video | null }} video @param {(key: string) => void} note */
function follow(player, video, note = () => {}) {
  let before = /** @type {Record<string, any> | null} */ (null);
  effect(() => {
    const now = /** @type {Record<string, any> | null} */ (video.value);
    const changed = Object.keys(now ?? {}).filter((key) => JSON.stringify(before?.[key]) !== JSON.stringify(now?.[key]));
    const isNewSource = before?.model !== now?.model;
    before = now;
    if (!changed.length && !isNewSource) return;
    changed.forEach(note);
    if (isGliding.peek() && String(changed) === "content" && player.hasFrames && transport.isPlaying.peek()) return;
    untracked(() => { player.reset(isNewSource); player.requestFrames(); });
  });
}

/** @param {Player} player */
function connect(player) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/frames`);
  socket.binaryType = "arraybuffer";
  socket.onopen = async () => {
    // Another studio may have started on this port, with another list of models, which requests must not be mixed up with.
    try { await loadSources(); } catch { socket.close(); return; }
    if (socket.readyState !== WebSocket.OPEN) return;
    player.socket = socket;
    player.reset(true);
  };
  socket.onmessage = (event) => { if (socket === player.socket) player.receive(event.data); };
  let hasOpened = false;
  socket.addEventListener("open", () => { hasOpened = true; });
  socket.onclose = async () => {
    player.socket = null;
    player.reset(); // Frames that have arrived would be drawn as if all were well.
    const say = (/** @type {string} */ text) => player.setStatus(player.stalePhase, `${text} Reconnecting…`, true);
    say(OFFLINE);
    setTimeout(() => connect(player), RECONNECT_MS);
    if (hasOpened) return;
    const reason = await loadSources().then(() => BLOCKED, (error) => error.message);
    if (!player.socket) say(reason);
  };
}

export async function loadSources() { sources.value = await fetchSources(); }

/** Called with each message of the studio. It says when the list of sources, or the weights of a run, have changed.
 * @type {Set<(message: any) => void>} */
export const liveListeners = new Set([({ type }) => { if (type === "sources") loadSources().catch(() => {}); }]);

function followMessages() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  socket.onmessage = (event) => liveListeners.forEach((listener) => listener(JSON.parse(event.data)));
  socket.onclose = () => setTimeout(followMessages, RECONNECT_MS);
}

/** Restart a player when its source has other weights. @param {Player} player @param {() => string | undefined} name */
function followVersion(player, name) {
  let before = "";
  effect(() => {
    const one = findSource(name() ?? "");
    const now = one ? `${one.name} ${one.version}` : "";
    if (before && now && now !== before) untracked(() => { player.reset(); player.requestFrames(); });
    before = now;
  });
}

export function startPlayback() {
  follow(players.a, shown.a, noteChange);
  follow(players.b, shown.b);
  let isFirst = true;
  effect(() => {
    const values = { speed: rate.value, fps: transport.fps.value };
    if (!isFirst) untracked(() => { Object.keys(values).forEach(noteChange); refresh(); });
    isFirst = false;
  });
  followVersion(players.a, () => view.a.value.model);
  followVersion(players.b, () => secondView.value?.model);
  followMessages();
  bothPlayers.forEach(connect);
  let numCounted = 0;
  setInterval(() => {
    displayedFps.value = players.a.numDrawn - numCounted;
    numCounted = players.a.numDrawn;
  }, 1000);
  effect(() => { if (transport.isPlaying.value) wake(); });
}

/** The animation frame that `tick` waits for, and when it last showed the time. */
const ticks = { pending: 0, shownAt: 0 };

/** Tick until nothing plays and both pictures are current: a paused page needs no animation frames. */
function wake() {
  if (ticks.pending) return;
  clock.last = performance.now();
  ticks.pending = requestAnimationFrame(tick);
}

/** Return whether the picture is that of the present settings, or cannot be. @param {Player} player */
const isResting = (player) => !player.isWaiting
  && (player.drawnRevision === player.revision || player.hasFailed || !player.socket || !player.getView());

/** @param {number} now */
function tick(now) {
  const elapsed = Math.min(Math.max(0, now - clock.last) / 1000, MAX_TICK_SECONDS);
  clock.last = now;
  // The clock waits for the first frame, so that a new video starts at its start.
  if (transport.isPlaying.peek() && (players.a.hasFrames || clock.isSteered)) clock.time += elapsed * rate.peek();
  const hasDrawn = bothPlayers.map((player) => {
    if (player.isWaiting && performance.now() - player.lastRequest.sentAt > HUNG_MS) player.socket?.close();
    player.requestFrames();
    return player.drawDue();
  });
  if (hasDrawn.includes(true) && now - ticks.shownAt > TIME_MS) { batch(showTime); ticks.shownAt = now; }
  ticks.pending = transport.isPlaying.peek() || !bothPlayers.every(isResting) ? requestAnimationFrame(tick) : 0;
}

/** Seconds that the timeline shows. */
export const timelineEnd = () => timeline.value?.seconds ??
  findSource(view.a.value.model)?.max_seconds ?? Math.max(60, 2 ** Math.ceil(Math.log2(Math.max(1, clock.time + 1))));
