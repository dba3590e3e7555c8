// The state that all controls change and all players show: which video, how fast, and at what time.

// Keys and units are those of `VideoParams` in video_params.py.
export const defaultParams = () => ({
  seed: 0, motion_seed: 0, psi: 1, label: null, mix: null, grid: [1, 1], directions: {}, search_result: null,
});
export const state = { model: 0, secondModel: null, params: defaultParams(), isPlaying: true, speed: 1, fps: 25 };
export const clock = { time: 0, last: performance.now() };

export let models = [];
export const currentModel = () => models[state.model];

export async function loadModels() { models = await (await fetch("api/models")).json(); }
