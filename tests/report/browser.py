"""A headless Chromium driven by its DevTools protocol over a pair of pipes: no packages, no port.

`CHROMIUM` names the program; else it is `chromium` on the PATH.
"""

import base64
import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import tempfile
import time

TIMEOUT = 60  # seconds for an answer
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--remote-debugging-pipe",
]  # fmt: skip


def program():
    """The program's path; an error that says how to get it where there is none."""
    named = os.environ.get("CHROMIUM", "chromium")
    found = shutil.which(named)
    if found is None:
        raise FileNotFoundError(f"{named}: no such program; Debian and Ubuntu have it: apt-get install chromium, or name another in CHROMIUM")
    return found


class Browser:
    """One process with one tab; `with` ends it."""

    def __init__(self):
        path = program()
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.serial, self.events, self.buffer = 0, [], b""
        (their_in, self.to), (self.back, their_out) = (map(high, os.pipe()) for _ in range(2))
        log = os.path.join(self.folder.name, "log")
        actions = [
            (os.POSIX_SPAWN_DUP2, their_in, 3),
            (os.POSIX_SPAWN_DUP2, their_out, 4),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        arguments = [path, *FLAGS, f"--user-data-dir={self.folder.name}/profile", "about:blank"]
        self.process = os.posix_spawn(path, arguments, os.environ, file_actions=actions, setpgroup=0)
        os.close(their_in)
        os.close(their_out)
        self.session = None
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.session = None
            self.call("Browser.close")
        except (OSError, EOFError, TimeoutError):
            pass
        os.close(self.to)
        os.close(self.back)
        end = time.monotonic() + 10
        while os.waitpid(self.process, os.WNOHANG)[0] == 0:
            if time.monotonic() > end:
                os.killpg(self.process, signal.SIGKILL)
                os.waitpid(self.process, 0)
                break
            time.sleep(0.05)
        self.folder.cleanup()

    def open(self, path, width=1280, height=900, scheme="light", media="screen"):
        """Opens a file as seen on a screen, or as printed; `scheme` is the preferred one. Forgets the events before."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        for url in ("about:blank", pathlib.Path(path).resolve().as_uri()):
            self.events.clear()
            answer = self.call("Page.navigate", url=url)
            if "errorText" in answer:
                raise RuntimeError(f"{url}: {answer['errorText']}")
            self.wait_for("Page.loadEventFired")

    def evaluate(self, expression):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def screenshot(self, path, scale=1):
        """The whole page as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": scale}
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        pathlib.Path(path).write_bytes(base64.b64decode(image["data"]))

    def pdf(self):
        """The page as printed on A4 by somebody whose screen is dark."""
        dark = [{"name": "prefers-color-scheme", "value": "dark"}]
        self.call("Emulation.setEmulatedMedia", media="print", features=dark)
        paper = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": False, "printBackground": False}
        return base64.b64decode(self.call("Page.printToPDF", **paper)["data"])

    def call(self, method, **parameters):
        """Sends a command and waits for its result."""
        self.serial += 1
        message = {"id": self.serial, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data) :]
        end = time.monotonic() + TIMEOUT
        while True:
            answer = self.receive(end, method)
            if answer.get("id") == self.serial:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method):
        """Waits until an event has come."""
        end = time.monotonic() + TIMEOUT
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive(end, method))

    def receive(self, end, what):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.back], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise TimeoutError(f"{what}: no answer in {TIMEOUT} s")
            data = os.read(self.back, 1 << 20)
            if not data:
                log = pathlib.Path(self.folder.name, "log").read_text(errors="replace")
                raise EOFError(f"{what}: the browser has ended\n{log}")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)


def high(descriptor):
    """The same pipe under a number that the browser's own, 3 and 4, cannot be."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
