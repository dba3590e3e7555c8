// Requests to the server other than for frames, and buttons that wait for them.

import { showMessage } from "./dom.js";

export async function request(path, options) {
  const response = await fetch(path, options);
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error ?? `The studio returned status ${response.status}: try again.`);
}

export function postJson(path, values) {
  const headers = { "Content-Type": "application/json" };
  return request(path, { method: "POST", headers, body: JSON.stringify(values) });
}

// Disable the button during an action, and show the action's error.
export async function runAction(button, busyText, action) {
  const text = button.textContent;
  Object.assign(button, { disabled: true, textContent: busyText });
  try {
    await action();
  } catch (error) {
    showMessage(error.message, true);
  }
  Object.assign(button, { disabled: false, textContent: text });
}
