// Elements of the page: access by id, seeds, sliders and the message line.

const MAX_SEED = 2 ** 31 - 1;

export const $ = (id) => document.getElementById(id);
export const randomSeed = () => Math.floor(Math.random() * 1e6);
export const readSeed = (id) => Math.min(Math.max(0, Math.round(Number($(id).value) || 0)), MAX_SEED);

export function on(id, event, action) { $(id).addEventListener(event, action); }

export function setOutput(id, text) {
  const output = document.querySelector(`output[for="${id}"]`);
  if (output) output.textContent = text;
}

// Set a control as the user does, with the events that follow.
export function setControl(id, value) {
  $(id).value = value;
  for (const event of ["input", "change"]) $(id).dispatchEvent(new Event(event));
}

// Errors of a player disappear with its next frames. Any other message stays until the next one.
let isTransient = true;

function write(text, isError) {
  $("message").textContent = text;
  $("message").classList.toggle("error", isError);
}

export function showMessage(text, isError = false) {
  isTransient = false;
  write(text, isError);
}

export function showPlayerError(text) {
  isTransient = true;
  write(text, true);
}

export function clearPlayerError() { if (isTransient) write("", false); }
