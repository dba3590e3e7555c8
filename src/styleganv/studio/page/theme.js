// Light and dark theme: the system's preference, until the user chooses.

import { $, on } from "./dom.js";

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = `Use ${name === "dark" ? "light" : "dark"} theme`;
  localStorage.setItem("theme", name);
}

on("theme", "click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
setTheme(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
