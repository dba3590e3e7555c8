// A plain script: browsers load neither modules nor the model from file:// addresses.
if (location.protocol === "file:") {
  document.addEventListener("DOMContentLoaded", () => {
    const folder = decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "");
    document.getElementById("loading").hidden = true;
    document.getElementById("controls").hidden = true;
    document.getElementById("message").textContent =
      "Browsers do not run this page from a file. Copy the folder to any web server, or run this command and open " +
      `http://localhost:8000 in the browser: python3 -m http.server -d "${folder}"`;
  });
}
