#!/usr/bin/env python3
"""Opens a report in headless Chromium and says, as one JSON object, what happened there.

    browse.py FILE.html [--dark] [--width PIXELS] [--eval EXPRESSION]...

  drawn_ms, loaded_ms   when all views were drawn: from the script's start, from the page's
  busy_ms               processor time of the page's main thread until then
  console               messages, errors and uncaught exceptions
  requests              addresses asked for, but for the file itself
  width                 of the page's content, in pixels
  values                of the expressions, in their order
  values_busy_ms        processor time of the page's main thread for each of them

Speaks the DevTools protocol over the pipe (file descriptors 3 and 4). Exit code 3: there is no Chromium.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Browser:
    def __init__(self, program, profile):
        commands, self.to = os.pipe()
        self.replies, answers = os.pipe()

        def pipes():  # both are moved out of the way before they get the numbers that Chromium expects
            high = os.dup(commands), os.dup(answers)
            high = os.dup(high[0]), os.dup(high[1])
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=pipes, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.buffer, self.count, self.session, self.events = b"", 0, None, []

    def receive(self):
        while b"\0" not in self.buffer:
            part = os.read(self.replies, 1 << 20)
            if not part:
                raise SystemExit("browse: Chromium ended")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **parameters):
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            reply = self.receive()
            if reply.get("id") == self.count:
                if "error" in reply:
                    raise SystemExit(f"browse: {method}: {reply['error']}")
                return reply["result"]
            self.events.append(reply)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"browse: {expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def busy_ms(self):
        metrics = self.call("Performance.getMetrics")["metrics"]
        return 1000 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    def close(self):
        self.process.kill()
        self.process.wait()


# Whether the page says that it is drawn, or that it cannot be.
DRAWN = "(({drawnMs, failed}) => Boolean(drawnMs || failed))(document.documentElement?.dataset ?? {})"
PATIENCE_S = 120


def wait_until_drawn(browser):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if browser.value(DRAWN):
                return
        except SystemExit:
            pass  # the page was just replaced
        time.sleep(0.05)
    raise SystemExit(f"browse: nothing was drawn within {PATIENCE_S} s")


def visit(browser, arguments):
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.call(domain + ".enable")
    browser.call("Emulation.setDeviceMetricsOverride", width=arguments.width, height=900, deviceScaleFactor=1,
                 mobile=False)
    scheme = "dark" if arguments.dark else "light"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.call("Performance.enable", timeDomain="threadTicks")
    url = Path(arguments.file).resolve().as_uri()
    browser.call("Page.navigate", url=url)
    wait_until_drawn(browser)
    busy_ms = browser.busy_ms()
    data = browser.value("({...document.documentElement.dataset})")
    values, values_busy_ms = [], []
    for expression in arguments.eval:
        before_ms = browser.busy_ms()
        values.append(browser.value(expression))
        values_busy_ms.append(round(browser.busy_ms() - before_ms))
    width = browser.value("document.documentElement.scrollWidth")

    console, requests = [], []
    for event in browser.events:
        kind, what = event.get("method"), event.get("params", {})
        if kind in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            console.append(json.dumps(what)[:500])
        if kind == "Network.requestWillBeSent" and what["request"]["url"] != url:
            requests.append(what["request"]["url"][:200])
    if "failed" in data:
        console.append(data["failed"])
    return {"drawn_ms": int(data.get("drawnMs", -1)), "loaded_ms": int(data.get("loadedMs", -1)),
            "busy_ms": round(busy_ms), "console": console, "requests": requests, "width": width,
            "values": values, "values_busy_ms": values_busy_ms}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=1150)
    parser.add_argument("--eval", action="append", default=[])
    arguments = parser.parse_args()
    program = next((found for found in map(shutil.which, BROWSERS) if found), None)
    if program is None:
        return 3
    # Chromium may still be writing its profile when it is told to end.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            print(json.dumps(visit(browser, arguments)))
        finally:
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
