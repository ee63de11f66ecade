"""A page in headless Chromium, driven over the DevTools protocol: what it says, what it shows, clicks and words typed."""

import base64
import io
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# WebGL by the processor, since machines that run tests have no GPU.
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PATIENCE_S = 90.0  # for machines under load; nothing is measured by it


def find_chromium() -> str | None:
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """One tab; a context manager that ends the browser.

    Attributes:
        problems: messages of errors and uncaught exceptions in the console so far.
    """

    def __init__(self, program: str, profile: Path, width: int = 900, height: int = 620) -> None:
        from websockets.sync.client import connect

        arguments = [*OPTIONS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "--remote-debugging-port=0"]
        self._process = subprocess.Popen([program, *arguments, "about:blank"], stderr=subprocess.DEVNULL)
        self._numbers, self.problems = itertools.count(1), []
        port_file = profile / "DevToolsActivePort"
        until(lambda: port_file.exists() and port_file.read_text().strip(), "the browser's port")
        port = port_file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=PATIENCE_S) as answer:
            tab = next(item for item in json.load(answer) if item["type"] == "page")
        self._socket = connect(tab["webSocketDebuggerUrl"], max_size=None, close_timeout=1)
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_) -> None:
        self._process.terminate()
        self._process.wait(timeout=PATIENCE_S)
        self._socket.close()

    def open(self, address: str) -> None:
        self._call("Page.navigate", url=address)

    def text(self) -> str:
        return self.evaluate("document.body ? document.body.innerText : ''")

    def evaluate(self, expression: str) -> object:
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 of the window."""
        content = base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    def click(self, x: float, y: float) -> None:
        for kind, pressed in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)):
            button = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=pressed, **button)

    def press(self, letter: str) -> None:
        """Press a key that writes a letter, and let it go."""
        code = {"key": letter, "code": f"Key{letter.upper()}", "windowsVirtualKeyCode": ord(letter.upper())}
        self._call("Input.dispatchKeyEvent", type="keyDown", text=letter, **code)
        self._call("Input.dispatchKeyEvent", type="keyUp", **code)

    def type_into(self, label: str, words: str) -> None:
        """Type words into the empty field beside this label."""
        script = f"""(() => {{
            const named = [...document.querySelectorAll('label')].find(e => e.textContent.trim() === {json.dumps(label)});
            let around = named;
            while (around && !around.querySelector('input')) around = around.parentElement;
            if (!around) return null;
            around.querySelector('input').focus();
            return true;
        }})()"""
        until(lambda: self.evaluate(script), f"the field {label!r}")
        self._call("Input.insertText", text=words)

    def click_text(self, text: str) -> None:
        """Click the element whose own text, or value as an input, is exactly this, once it has come to rest."""
        script = f"""(() => {{
            const own = e => e.tagName === 'INPUT' ? e.value : e.childElementCount ? '' : e.textContent.trim();
            const found = [...document.querySelectorAll('*')].find(e => own(e) === {json.dumps(text)} && e.offsetParent);
            if (!found) return null;
            found.scrollIntoView({{block: 'nearest', behavior: 'instant'}});
            const r = found.getBoundingClientRect();
            const [x, y] = [r.x + r.width / 2, r.y + r.height / 2];
            const top = document.elementFromPoint(x, y);
            return top && (top.contains(found) || found.contains(top)) ? [x, y] : null;
        }})()"""
        before = None

        def resting() -> list[float] | None:
            nonlocal before
            place, earlier = self.evaluate(script), before
            before = place
            return place if place == earlier else None

        self.click(*until(resting, f"{text!r} to click"))

    def _call(self, method: str, **parameters) -> dict:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict) -> None:
        content = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.problems.append(content["exceptionDetails"]["text"])
        elif message["method"] == "Runtime.consoleAPICalled" and content["type"] in ("error", "assert"):
            self.problems.append(" ".join(str(item.get("value", item.get("description"))) for item in content["args"]))
        elif message["method"] == "Log.entryAdded" and content["entry"]["level"] == "error":
            self.problems.append(content["entry"]["text"])


def until(condition, what: str) -> object:
    """The first answer of `condition` that is not false; AssertionError after `PATIENCE_S`."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {PATIENCE_S:.0f} s for {what}")


def save_picture(address: str, path: str) -> None:
    """A picture of the page of a Gaussian scene, without the browser's notices."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        Page(find_chromium(), Path(profile), 1100, 840) as page,
    ):
        page.open(address)
        until(lambda: "Export PLY" in page.text(), "the panel")
        page.evaluate("document.querySelectorAll('.mantine-Notification-closeButton').forEach(button => button.click())")
        before = None
        for _ in range(40):  # splats grow when they arrive
            picture = page.picture()
            if before is not None and np.array_equal(picture, before):
                break
            before = picture
            time.sleep(0.5)
        Image.fromarray(picture).save(path)


if __name__ == "__main__":
    save_picture(*sys.argv[1:])
