/** Labels as text and as the K numbers that networks get (label_space.py). */

import { CLASS, uniformInteger } from "./noise.js";

/** Return the number of a class by its name or, unless names are numbers, by its number. */
function classNumber(text, names) {
  const name = names.includes(text) ? text : text.trim();
  if (names.includes(name)) return names.indexOf(name);
  const isNumbered = !names.some((each) => /^[-+]?\d+(\.\d*)?$/.test(each));
  if (isNumbered && /^\d+$/.test(name) && Number(name) < names.length) return Number(name);
  throw new Error(`Unknown class ${text}: choose ${names.join(", ")}.`);
}

/** Return the K numbers of a label's text. Throws an Error that says how to correct it. */
export function parseLabel(text, { kind, names }) {
  const vector = new Float32Array(names.length);
  if (kind !== "vector") {
    const parts = kind === "class" ? [text] : text.split(",").filter((part) => part.trim());
    for (const part of parts) vector[classNumber(part, names)] = 1;
    return vector;
  }
  const parts = text.split(",");
  if (parts.length !== names.length || parts.some((part) => !part.trim() || !Number.isFinite(Number(part)))) {
    throw new Error(`The label must be ${names.length} numbers (${names.join(",")}): correct it.`);
  }
  return Float32Array.from(parts, Number);
}

/** Return the text of the label that a content seed chooses. */
export function labelFromSeed(seed, { kind, names, examples }) {
  const choices = kind === "class" ? names : examples;
  if (!choices.length) throw new Error("This model does not know the labels of its videos: enter a label.");
  return choices[uniformInteger(seed, CLASS, choices.length)];
}
