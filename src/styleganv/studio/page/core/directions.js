// Names of the directions that the server has found, for the tab Edit and for controllers.

import { getJson } from "./api.js";
import { directionsUrl } from "./protocol.js";
import { signal } from "./ui.js";

/** By model. */
export const directionNames = signal(/** @type {Record<string, string[]>} */ ({}));
/** Largest strength of a slider, in standard deviations. */
export const MAX_STRENGTH = 4;

/** @param {string} model @param {string[]} names */
export function setDirectionNames(model, names) {
  directionNames.value = { ...directionNames.peek(), [model]: names };
}

/** @param {string} model */
export async function findDirections(model) {
  setDirectionNames(model, await getJson(directionsUrl(model)));
}
