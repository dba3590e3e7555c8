"""A real Firefox, driven by WebDriver BiDi: JSON over a WebSocket, for which Firefox needs no driver."""

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
MISSING = "needs Firefox: apt-get install firefox-esr"
START_SECONDS = 60


class Firefox:
    """One tab of a headless Firefox.

    Attributes:
        errors: errors in its console, and uncaught exceptions.
    """

    def __init__(self, socket: Any) -> None:
        self.errors: list[str] = []
        self._id = 0
        self._socket = socket
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded"])
        self._context = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=START_SECONDS))
            if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.errors.append(message["params"]["text"])
            if message.get("id") == self._id:
                assert message["type"] == "success", message
                result: dict[str, Any] = message["result"]
                return result

    def open(self, url: str) -> None:
        self.run("window.isLeft = true")
        self.send("browsingContext.navigate", context=self._context, url=url, wait="complete")
        # A page that writes its address as it is left makes Firefox answer before the next one is there.
        self.until("!window.isLeft && document.readyState === 'complete'")

    def reload(self) -> None:
        self.send("browsingContext.reload", context=self._context, wait="complete")

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height}
        self.send("browsingContext.setViewport", context=self._context, viewport=size)

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression, which JSON can state."""
        expression = f"(async () => JSON.stringify(await ({script})))()"
        target = {"context": self._context}
        found = self.send("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return json.loads(found["result"].get("value", "null"))

    def until(self, script: str, seconds: float = 30) -> Any:
        """Wait until an expression is true, and return its value."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, (script, self.run("document.body.innerText"))
            time.sleep(0.03)
        return value

    def type(self, *keys: str) -> None:
        """Press keys, wherever the focus is. Special keys are those of WebDriver, e.g. "\\ue014"."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self.send("input.performActions", context=self._context, actions=[keyboard])

    def click(self, selector: str) -> None:
        """Press the mouse button over the middle of an element."""
        x, y = self.run(
            f"(() => {{ const one = document.querySelector({selector!r}); one.scrollIntoView({{ block: 'nearest' }});"
            "const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        move = {"type": "pointerMove", "x": round(x), "y": round(y)}
        press = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        mouse = {"type": "pointer", "id": "mouse", "actions": [move, *press]}
        self.send("input.performActions", context=self._context, actions=[mouse])


@contextmanager
def open_firefox() -> Iterator[Firefox]:
    """Start a headless Firefox with an empty profile for the block."""
    from websockets.sync.client import connect

    assert FIREFOX, MISSING
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [FIREFOX, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
        log = Path(profile) / "stderr.txt"
        with log.open("w") as stderr, subprocess.Popen(command, stderr=stderr, stdout=subprocess.DEVNULL) as process:
            try:
                with connect(_address(log, process) + "/session", max_size=None) as socket:
                    yield Firefox(socket)
            finally:
                process.terminate()


def _address(log: Path, process: "subprocess.Popen[bytes]") -> str:
    """Wait for the address that Firefox prints."""
    deadline = time.monotonic() + START_SECONDS
    while not (found := re.search(r"WebDriver BiDi listening on (ws://\S+)", log.read_text())):
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found[1]
