"""Times of the dashboard's first page, of its other pages and of a moved threshold.

    CXR_DATA_DIR=... python benchmarks/dashboard.py     # under a minute; without the folder, the synthetic table only

Each table is opened in a fresh process the way ``python -m dashboard`` would: the modules are imported first (the
server does that before anyone visits), then the first page is run from nothing, pages are turned and the threshold's
slider is moved. Times are of the server's script run, without the network and the browser's drawing; AppTest runs the
whole page where the server runs the slider's fragment alone, so a move is bounded from above. Processor seconds stand
beside wall seconds, as they hold on a machine that is busy with something else. Memory is the process's peak.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # or this very file would be the package ``dashboard``
PAGES = tuple(sorted(path.stem for path in (ROOT / "dashboard" / "screens").glob("*.py")))
PAGE_S = 1.5  # of any page but the first, which also reads and scores the table; heatmaps excepted
TARGETS = {"first page": 2.5, "threshold move": 0.150} | {f"{page}, first time": PAGE_S for page in PAGES}
MOVES = 11


def synthetic(path: Path, films: int = 22_433, patients: int = 6_187) -> None:
    """A table of the shape of NIH's test films, with labels: scores that rank, patients that repeat."""
    import numpy as np

    from cxrcore.findings import NIH14
    from cxrcore.predictions.record import Predictions

    rng = np.random.default_rng(0)
    truth = rng.random((films, len(NIH14))) < rng.uniform(0.005, 0.2, len(NIH14))
    logits = rng.normal(-2.5, 1.2, truth.shape) + 1.5 * truth
    owner = np.concatenate([np.arange(patients), rng.integers(0, patients, films - patients)])
    Predictions(
        images=np.char.add("film-", np.arange(films).astype(str)),
        patient_ids=owner.astype(str),
        split=np.full(films, "test"),
        labels=NIH14,
        targets=truth.astype(np.float32),
        probabilities=(1 / (1 + np.exp(-logits))).astype(np.float32),
    ).write(path)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def measure(model: str, labels: str) -> None:
    """Print a table's rows; called in a process of its own."""
    import logging

    logging.disable(logging.WARNING)
    from streamlit.testing.v1 import AppTest

    from dashboard.__main__ import warm_up

    warm_up()
    at = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=120)
    at.query_params["model"] = model
    if labels:
        at.query_params["labels"] = labels
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = {"first page": [timed(at.run)], "the same again": [timed(at.run)]}
    for page in (*(page for page in PAGES if page not in ("overview", "threshold")), "threshold"):
        at.switch_page(f"screens/{page}.py")
        rows[f"{page}, first time"] = [timed(at.run)]
        rows[f"{page}, again"] = [timed(at.run)]
        assert not at.exception
    slider = at.slider[0]

    def move(place: int) -> None:
        at.slider[0].set_value(slider.max * place / (MOVES + 1)).run()

    rows["threshold move"] = [timed(partial(move, place)) for place in range(1, MOVES + 1)]
    assert not at.exception
    for name, times in rows.items():
        wall, processor = (median(part) for part in zip(*times, strict=True))
        aim = f"   (aim: {TARGETS[name]:g})" if name in TARGETS else ""
        print(f"  {name:24} {wall:7.3f} s   {processor:7.3f} s of processor{aim}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"  {'memory':24} {peak / 1024:7.0f} MB at most, {before / 1024:.0f} MB of it before the table   (aim: 500)")
    print(f"  {'torch imported':24} {'torch' in sys.modules}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "predictions.parquet"
        synthetic(table)
        tables = {"synthetic, 22,433 films x 14": (str(table), "")}
        if data := os.environ.get("CXR_DATA_DIR"):
            nih = Path(data).resolve() / "nih"
            files = nih / "chexnet_predictions.csv.gz", nih / "Data_Entry_2017_v2020.csv.gz"
            if all(file.is_file() for file in files):
                tables["CheXNet's table, 11,928 films x 14, CSV and NIH labels"] = (str(files[0]), str(files[1]))
        for name, arguments in tables.items():
            print(name, flush=True)
            subprocess.run([sys.executable, __file__, *arguments], check=True, cwd=ROOT)


if __name__ == "__main__":
    measure(*sys.argv[1:]) if len(sys.argv) > 1 else main()
