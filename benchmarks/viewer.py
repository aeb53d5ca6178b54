"""How quickly does the page draw a film of 2,000 x 2,000 values of 12 bits, in a real browser without a graphics card?

    python -m benchmarks.viewer             # a minute or two; needs Chromium and Playwright

A script zooms, drags and windows one frame after the other in headless Chromium. "drawing" is the time that the page's
own code takes for a frame, "frame" the time from one frame to the next, which 60 a second hold at 16.7 ms. The times of
a file are from its drop to the film on the screen: as a picture (a PNG's is drawn by the browser itself, others come
from the server), then from its own values beside the answer; medians of REPEATS drops.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measuring import print_header, print_row
from cxrcore.phantom import draw_phantom
from tests.films import dataset, encoded, written
from tests.servers import running

SIDE = 2000
FRAMES = 120
REPEATS = 5
WATCH = """() => {
  const root = document.querySelector(".cxr");
  document.addEventListener("change", ({ target }) => {
    if (target.type === "file") window.cxrSeen = { began: performance.now() };
  }, true);
  const look = () => {
    const [log, { state }] = [window.cxrSeen, root.dataset];
    const picture = root.querySelector(`[data-part=${state === "reading" ? "preview" : "image"}]`);
    const seen = state !== "empty" && !picture.hidden && picture.complete && picture.naturalWidth;
    if (log && seen) log.picture ??= performance.now() - log.began;
    if (log && state === "result" && root.querySelector(".film .stage.has-values"))
      log.values ??= performance.now() - log.began;
    requestAnimationFrame(look);
  };
  look();
}"""
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


def films() -> dict[str, tuple[str, bytes]]:
    """A synthetic film with noise, SIDE x SIDE, 12 bits, as files: kind to name and content."""
    pixels = Image.fromarray(draw_phantom(3).pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 8, (SIDE, SIDE))
    values = np.clip(np.asarray(pixels) * 4095 + noise, 0, 4095).astype(np.uint16)
    return {
        "PNG": ("film.png", encoded(values, "PNG", compress_level=1)),
        "TIFF": ("film.tif", encoded(values, "TIFF")),
        "DICOM": ("film.dcm", written(dataset(values, 12))),
    }


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


def drop(page: Any, name: str, content: bytes) -> dict[str, float]:
    """Milliseconds from a drop to the film's picture and to its own values."""
    page.evaluate("window.cxrSeen = null")
    file = {"name": name, "mimeType": guess_type(name)[0] or "application/dicom", "buffer": content}
    page.set_input_files("#film-upload input[type=file]", file)
    page.wait_for_function("window.cxrSeen?.values", timeout=120_000)
    return page.evaluate("window.cxrSeen")


def measure(page: Any) -> None:
    """Load the film, move it, print."""
    page.evaluate(WATCH)
    print_header("file", "its picture, ms", "its own values, ms")
    for kind, (name, content) in films().items():
        seen = [drop(page, name, content) for _ in range(REPEATS + 1)][1:]  # the first warms up
        print_row(kind, *(f"{np.median([one[part] for one in seen]):.0f}" for part in ("picture", "values")))
    page.wait_for_timeout(1500)
    print()
    print_header("movement", "drawing, median ms", "drawing, 95 %", "frame, median ms", "frame, 95 %")
    page.evaluate(MOVE, ["zoom", 20])
    for kind in ("zoom", "pan", "window"):
        result = page.evaluate(MOVE, [kind, FRAMES])
        costs, gaps = (np.percentile(result[key], [50, 95]) for key in ("costs", "gaps"))
        print_row(kind, *(f"{value:.1f}" for value in (*costs, *gaps)))


if __name__ == "__main__":
    sys.exit(main())
