// Requests to the server other than for frames.

/** Return the response. Throws an Error with a sentence for the user.
 * @param {string} path @param {RequestInit} [options] */
export async function request(path, options) {
  const response = await fetch(path, options).catch(() => null);
  if (!response) throw new Error("Cannot reach the studio: check that it is running.");
  if (response.ok) return response;
  throw new Error(sentenceOf(await response.text()) || `The studio returned status ${response.status}: try again.`);
}

/** Return the sentence in the body of an error: JSON, or one line of text if access is denied. @param {string} body */
function sentenceOf(body) {
  try { return JSON.parse(body).error; } catch { return body.startsWith("Access denied") ? body : ""; }
}

/** @param {string} path @param {unknown} values */
export function postJson(path, values) {
  const headers = { "Content-Type": "application/json" };
  return request(path, { method: "POST", headers, body: JSON.stringify(values) });
}

/** @param {string} path */
export const getJson = async (path) => (await request(path)).json();
