// Where a browser blocks localStorage or sessionStorage, e.g. with all cookies, a substitute lasts as long as the page.

/** @returns {Pick<Storage, "getItem" | "setItem" | "removeItem" | "clear">} */
function substitute() {
  const items = new Map();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => { items.set(name, String(value)); },
    removeItem: (name) => { items.delete(name); },
    clear: () => items.clear(),
  };
}

for (const name of /** @type {const} */ (["localStorage", "sessionStorage"])) {
  try {
    window[name].getItem("");
  } catch {
    Object.defineProperty(window, name, { value: substitute() });
  }
}
