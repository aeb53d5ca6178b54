"""Rate and memory of many films: the page on a zip of them, beside ``cxr predict`` on the same zip.

    python benchmarks/many.py films.zip [model]     # needs Chromium; a few minutes

Both are measured in turn, three times. The rate of ``cxr predict`` is from the end of its first batch to the end of its
last, without starting; the page's from the choice of the zip to the last row, on a server whose model is loaded. Memory
is the server's peak, and that of the largest process of all.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FEW = 8
BATCH = 16  # of cxr predict
PORT = "7899"
TARGET = 0.8  # of cxr predict's rate


def predict_rate(archive: Path, model: str) -> float:
    """Films a second, from the end of the first batch to the end of the last."""
    command = [sys.executable, "-m", "train", "predict", model, str(archive), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        times = [time.perf_counter() for _ in process.stdout]
    return (len(times) - BATCH) / (times[-1] - times[BATCH - 1])


@contextmanager
def served(model: str) -> Iterator[int]:
    """The app's process id, once it answers."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "app.py"), "--model", model, "--port", PORT], stderr=subprocess.DEVNULL
    )
    try:
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=5).close()
                break
            time.sleep(0.2)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def peak_megabytes(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


def page_seconds(page: Any, archive: Path) -> float:
    """From the choice of the archive to its last row."""
    page.goto(f"http://127.0.0.1:{PORT}/")
    page.wait_for_selector(".cxr .about dl", timeout=300_000)
    started = time.perf_counter()
    page.set_input_files("[data-part=list-files]", archive)
    done = "document.querySelector('[data-part=many]').dataset.list === 'done'"
    page.wait_for_function(done, polling=20, timeout=1_200_000)  # wait_for_selector looks twice a second only
    seconds = time.perf_counter() - started
    print(f"  page: {page.inner_text('[data-part=list-status]')} in {seconds:.1f} s", flush=True)
    return seconds


def main(archive: Path, model: str = "nih14") -> None:
    from playwright.sync_api import sync_playwright

    with zipfile.ZipFile(archive) as whole, tempfile.TemporaryDirectory() as folder:
        few, names = Path(folder, "few.zip"), whole.namelist()
        with zipfile.ZipFile(few, "w") as part:
            for name in names[:FEW]:
                part.writestr(name, whole.read(name))
        rates: dict[str, list[float]] = {"cxr predict": [], "page": []}
        with served(model) as pid, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page()
            page_seconds(page, few)
            empty = peak_megabytes(pid)
            for _ in range(3):
                rates["cxr predict"].append(predict_rate(archive, model))
                rates["page"].append(len(names) / page_seconds(page, archive))
            peak = peak_megabytes(pid)
            browser.close()
    print(f"{len(names)} films, {model}, {os.cpu_count()} processors")
    for name, values in rates.items():
        print(f"{name}: {', '.join(f'{value:.1f}' for value in values)} films/s")
    share = median(rates["page"]) / median(rates["cxr predict"])
    print(f"page / cxr predict, medians: {share:.2f} (target {TARGET})")
    own = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    print(f"peak memory: server {peak:.0f} MB (after {FEW} films {empty:.0f} MB), largest process of all {own:.0f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
