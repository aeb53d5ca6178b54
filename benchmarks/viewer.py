"""How quickly does the page draw a film of 2,000 x 2,000 values of 12 bits, in a real browser without a graphics card?

    python -m benchmarks.viewer             # a minute or two; needs Chromium and Playwright

A script zooms, drags and windows one frame after the other in headless Chromium. "drawing" is the time that the page's
own code takes for a frame, "frame" the time from one frame to the next, which 60 a second hold at 16.7 ms. The first
film's times are from dropping the file to its picture on the screen.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measuring import print_header, print_row
from cxrcore.phantom import draw_phantom
from tests.servers import running

SIDE = 2000
FRAMES = 120
WAITS = {"PNG": "[data-part=preview]:not([hidden])", "values": ".stage.has-values"}

MOVE = """async ([kind, frames]) => {
  const stage = document.querySelector("[data-part=stage]");
  const { left, top, width, height } = stage.getBoundingClientRect();
  const at = { clientX: left + width / 2 + 40, clientY: top + height / 2 - 30, bubbles: true, cancelable: true };
  const canvas = stage.querySelector(".pane.mapped");
  const pointer = (name, more) => canvas.dispatchEvent(
    new PointerEvent(name, { ...at, pointerId: 1, pointerType: "mouse", isPrimary: true, ...more }));
  stage.setPointerCapture = () => {};
  const next = () => new Promise(requestAnimationFrame);
  if (kind !== "zoom") pointer("pointerdown", { button: kind === "window" ? 2 : 0, buttons: 1 });
  const [began, costs] = [[], []];
  const drawn = ({ detail }) => costs.push(detail);
  stage.addEventListener("drawn", drawn);
  for (let frame = 0; frame < frames; frame++) {
    began.push(await next());
    const way = frame % 40 < 20 ? 1 : -1;
    if (kind === "zoom") canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: -60 * way }));
    else pointer("pointermove", { clientX: (at.clientX += 5 * way), clientY: (at.clientY += 3 * way) });
  }
  if (kind !== "zoom") pointer("pointerup", {});
  const gaps = began.slice(1).map((time, index) => time - began[index]);
  await next();
  stage.removeEventListener("drawn", drawn);
  return { gaps, costs };
}"""


def film_png() -> bytes:
    """A synthetic film with noise, SIDE x SIDE, 12 bits."""
    pixels = Image.fromarray(draw_phantom(3).pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 8, (SIDE, SIDE))
    values = np.clip(np.asarray(pixels) * 4095 + noise, 0, 4095).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def main() -> int:
    """Print a row a movement."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("the viewer was not measured: playwright is not installed")
        return 0

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        command = [sys.executable, str(Path(__file__).resolve().parents[1] / "app.py"), "--model", "phantom"]
        environment = os.environ | {"TMPDIR": folder}
        with running(command, Path(folder), environment, stop=signal.SIGINT) as server:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(server.url)
            page.wait_for_selector(".cxr .about dl", timeout=120_000)
            measure(page)
            browser.close()
    return 0


def measure(page: Any) -> None:
    """Load the film, move it, print."""
    page.evaluate(
        """() => { const log = (window.cxrSeen = {}); const began = () => (log.began ??= performance.now());
        document.addEventListener("change", began, true);
        const look = () => { for (const [name, selector] of Object.entries(WAITS)) {
            const node = document.querySelector(selector);
            if (node && !(name in log) && (node.tagName !== "IMG" || (node.complete && node.naturalWidth)))
              log[name] = performance.now() - log.began; }
          requestAnimationFrame(look); }; look(); }""".replace("WAITS", str(WAITS))
    )
    content = {"name": "film.png", "mimeType": "image/png", "buffer": film_png()}
    page.set_input_files("#film-upload input[type=file]", content)
    page.wait_for_selector(WAITS["values"], timeout=120_000)
    page.wait_for_timeout(1500)
    seen = page.evaluate("window.cxrSeen")
    print(f"from the drop to its picture {seen['PNG']:.0f} ms, to its own values {seen['values']:.0f} ms\n")
    print_header("movement", "drawing, median ms", "drawing, 95 %", "frame, median ms", "frame, 95 %")
    page.evaluate(MOVE, ["zoom", 20])
    for kind in ("zoom", "pan", "window"):
        result = page.evaluate(MOVE, [kind, FRAMES])
        costs, gaps = (np.percentile(result[key], [50, 95]) for key in ("costs", "gaps"))
        print_row(kind, *(f"{value:.1f}" for value in (*costs, *gaps)))


if __name__ == "__main__":
    sys.exit(main())
