"""What do checking, hashing and a model card cost beside the bare Hub client that copies the same bytes?

    python -m benchmarks.hub            # about a minute; needs no network

A bundle of about 45 MB (ResNet-50 of random weights, with the scores of fourteen findings) goes to a Hub on this
machine and comes back: by ``push_bundle`` and ``pull_bundle``, and by ``upload_folder`` and ``snapshot_download`` of
exactly the files that the push left there. Each time the Hub is a fresh process and the cache a fresh folder; the two
take turns, so the ratio holds on a busy machine. Seconds are medians, with processor seconds of the client beside
them. Then a model in the cache is opened beside the same bundle in a folder, with the Hub in reach and without.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

from benchmarks.measuring import Seconds, middle, print_header, print_row, timed
from tests.hub import TOKEN, Hub

REPO, ROUNDS, OPENINGS = "tester/model", 9, 16


def make_bundle(folder: Path) -> None:
    """About 45 MB: a ResNet-50 of random weights with the fourteen findings' scores of a model that ships."""
    import torch

    from cxrcore.bundle.config import BundleConfig
    from cxrcore.bundle.folder import write_bundle
    from cxrcore.films.preprocessing import Preprocessing
    from cxrcore.findings import NIH14
    from cxrcore.models.opening import find_bundle
    from cxrcore.publishing.model_card import write_model_card

    torch.manual_seed(0)
    config = BundleConfig("resnet50", "resnet50", NIH14, Preprocessing(224, 224, 1))
    write_bundle(folder, config.build_network(), config)
    shutil.copytree(find_bundle("nih14") / "evaluation", folder / "evaluation")
    write_model_card(folder, config)


def serve(pipe: Connection) -> None:
    """Run a Hub until the pipe says enough."""
    with Hub() as hub:
        pipe.send(hub.url)
        pipe.recv()


@contextmanager
def fresh_hub(home: Path) -> Iterator[str]:
    """A Hub in a process of its own, named by the environment as long as it runs; ``home`` is the client's."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    process.start()
    url = here.recv()
    os.environ |= {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_TOKEN": TOKEN}
    try:
        yield url
    finally:
        here.send("enough")
        process.join()


def print_pair(name: str, ours: list[Seconds], bare: list[Seconds]) -> None:
    """A row: the bare client, ours, and the ratios of wall and processor seconds."""
    one, other = middle(bare), middle(ours)
    seconds = (f"{part.wall:.2f} s ({part.processor:.2f})" for part in (one, other))
    print_row(name, *seconds, f"{other.wall / one.wall:.2f}x", f"{other.processor / one.processor:.2f}x")


def measure_copies(bundle: Path, scratch: Path) -> None:
    """Print the table on push and pull."""
    from huggingface_hub import HfApi, snapshot_download

    from cxrcore.hub.pull import pull_bundle
    from cxrcore.publishing.push import prepare_push, push_bundle

    ready = scratch / "ready"
    prepare_push(bundle, ready, REPO)
    size = sum(path.stat().st_size for path in ready.rglob("*") if path.is_file())

    def bare_push(url: str) -> None:
        api = HfApi(endpoint=url)
        api.create_repo(REPO)
        api.upload_folder(repo_id=REPO, folder_path=ready, commit_message="Bundle")

    pushes: dict[str, list[Seconds]] = {"ours": [], "bare": []}
    pulls: dict[str, list[Seconds]] = {"ours": [], "bare": []}
    for turn in range(ROUNDS + 1):  # the first warms up and does not count
        for who in ("ours", "bare") if turn % 2 else ("bare", "ours"):
            with tempfile.TemporaryDirectory(dir=scratch) as home, fresh_hub(Path(home)) as url:
                if who == "ours":
                    pushed = timed(lambda: push_bundle(bundle, REPO, say=len))
                    pulled = timed(lambda: pull_bundle(REPO, say=len))
                else:
                    pushed = timed(lambda: bare_push(url))
                    pulled = timed(lambda: snapshot_download(REPO, endpoint=url, cache_dir=Path(home) / "hub"))
                if turn:
                    pushes[who].append(pushed)
                    pulls[who].append(pulled)
    print(f"A bundle of {size / 1e6:.0f} MB; wall seconds (processor seconds of the client). Aim: at most 1.5x\n")
    print_header("", "bare client", "ours", "ratio", "of the processor")
    print_pair("push", pushes["ours"], pushes["bare"])
    print_pair("pull", pulls["ours"], pulls["bare"])


def measure_openings(bundle: Path, scratch: Path) -> None:
    """Print the table on opening a folder, and the same bundle in the Hub's cache, with the Hub there and gone."""
    import cxrcore
    from cxrcore.hub.pull import pull_bundle
    from cxrcore.publishing.push import push_bundle

    home = scratch / "home"

    def opened() -> tuple[float, float]:
        """Median seconds of the folder and of the cached model, opened in turns."""
        pair = [partial(cxrcore.load, what) for what in (bundle, REPO)]
        times = [[timed(opening).wall for opening in pair] for _ in range(OPENINGS)]
        folder, cached = zip(*times[1:], strict=True)
        return median(folder), median(cached)

    with fresh_hub(home):
        push_bundle(bundle, REPO, say=len)
        pull_bundle(REPO, say=len)
        near = opened()
    far = opened()  # nobody answers any more
    print("\nOpening it, weights and all. Aim: at most 50 ms more\n")
    print_header("the Hub is", "folder", "cached", "more")
    for where, (folder, cached) in (("in reach", near), ("out of reach", far)):
        print_row(where, f"{1e3 * folder:.0f} ms", f"{1e3 * cached:.0f} ms", f"{1e3 * (cached - folder):+.0f} ms")


def main() -> None:
    """Print both tables."""
    import torch

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="cxr-bench-hub-") as name:
        scratch = Path(name)
        bundle = scratch / "resnet50"
        make_bundle(bundle)
        measure_copies(bundle, scratch)
        measure_openings(bundle, scratch)


if __name__ == "__main__":
    main()
