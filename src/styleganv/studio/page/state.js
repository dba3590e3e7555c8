// The state that all controls change and all players show: which video, how fast, and at what time.

export const defaultParams = () => ({
  seed: 0, motion_seed: 0, psi: 1, label: null, mix: null, grid: [1, 1], directions: {}, search_result: null,
});
export const state = { model: 0, secondModel: null, params: defaultParams(), isPlaying: true, speed: 1, fps: 25 };
// The parameters in the notation of the server (timeline/notation.py).
export function notation() {
  const { seed, motion_seed, psi, label, mix, grid, directions, search_result } = state.params;
  return {
    content: search_result === null ? seed : `result-${search_result}`,
    motion: currentModel().supports_motion_seed ? motion_seed : null,
    psi, label, grid, directions,
    mix: mix && `${mix.seed}:${mix.first}-${mix.last}@${mix.amount}`,
  };
}

export const clock = { time: 0, last: performance.now() };

export let models = [];
export const currentModel = () => models[state.model];

export async function loadModels() { models = await (await fetch("api/models")).json(); }
