"""What every test may use: real films where there are some, small bundles, a browser; and how tests share processes.

``make test`` runs several processes (pytest-xdist). Tests of one file stay in one process, so a module's fixture is
made once; tests of the page share one process, with its server. What any process may need is made by ``once``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: threads on shared cores cost more than they give
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

if "CXR_CACHE_DIR" not in os.environ:  # decoded films must not pile up in the user's own cache
    _cache = tempfile.TemporaryDirectory(prefix="cxr-cache-")
    os.environ["CXR_CACHE_DIR"] = _cache.name

ROOT = Path(__file__).resolve().parent.parent
pytest_plugins = ("tests.hub.fixtures",)  # hub, ready, film
ONE_PROCESS = "tests/app/"  # these files share a server
LONGEST = [ONE_PROCESS, "tests/train/test_recipes.py", "tests/dashboard/test_browser.py", "tests/test_embedded.py"]
LONGEST += ["tests/test_wheel.py", "tests/cxrcore/publishing/test_push.py", "tests/dashboard/test_pages.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest, so that no process is left with one at the end; give slow tests time."""
    items.sort(key=lambda item: LONGEST.index(unit) if (unit := unit_of(item.nodeid)) in LONGEST else len(LONGEST))
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores, up to four: tests of the screens wait for a browser a quarter of their time."""
    return min(4, 1 + (os.cpu_count() or 1))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file, or of the page, in one process. (xdist's own groups do nothing on pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    config.option.loadscopereorder = False
    return ByFile(config, log)


def unit_of(nodeid: str) -> str:
    """The file of a test, or the folder whose files share a server."""
    return ONE_PROCESS if nodeid.startswith(ONE_PROCESS) else nodeid.partition("::")[0]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """``once(name, make)``: a folder of that name, filled by ``make(folder)`` in the first process that asks for it.

    Read it and copy it; tests of other processes read it, too.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def build(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / "once" / name
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                unfinished = Path(tempfile.mkdtemp(dir=shared)) / name
                make(unfinished)
                unfinished.rename(folder)
        return folder

    return build


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real films, from CXR_DATA_DIR; tests that need it are skipped without it."""
    name = os.environ.get("CXR_DATA_DIR")
    if not name:
        pytest.skip("CXR_DATA_DIR is unset: no real films")
    return Path(name).resolve()


@pytest.fixture(scope="session")
def nih_films(data_dir: Path) -> list[Path]:
    """The 1024-pixel NIH films as distributed, some RGBA."""
    films = sorted((data_dir / "nih" / "images-1024").glob("*.png"))
    if not films:
        pytest.skip("no NIH films in CXR_DATA_DIR")
    return films


@pytest.fixture(scope="session")
def kermany_dir(data_dir: Path) -> Path:
    """Kermany's films."""
    folder = data_dir / "kermany"
    if not folder.is_dir():
        pytest.skip("no Kermany films in CXR_DATA_DIR")
    return folder


@pytest.fixture(scope="session")
def kermany_like(once: Callable[..., Path]) -> Path:
    """Forty tiny films in Kermany's layout: pneumonia is a bright patch, so a network can learn it."""
    return once("kermany-like", draw_kermany_like)


def draw_kermany_like(folder: Path) -> None:
    from PIL import Image

    root = folder / "chest_xray" / "train"
    rng = np.random.default_rng(0)
    for kind, name in (("NORMAL", "IM-{:04d}-0001.jpeg"), ("PNEUMONIA", "person{}_bacteria_{}.jpeg")):
        (root / kind).mkdir(parents=True)
        for n in range(20):
            film = rng.normal(110, 12, (48, 56))
            if kind == "PNEUMONIA":
                row, column = rng.integers(8, 28, 2)
                film[row : row + 12, column : column + 12] += 90
            Image.fromarray(film.clip(0, 255).astype(np.uint8)).save(root / kind / name.format(n, n), quality=95)


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory):
    """A function that writes a bundle of random weights: ``make_bundle(architecture, labels, **config)`` -> folder."""
    import torch

    from cxrcore.bundle.config import BundleConfig
    from cxrcore.bundle.folder import write_bundle
    from cxrcore.films.preprocessing import Preprocessing

    def make(architecture: str, labels, size: int = 64, channels: int = 1, **more) -> Path:
        folder = tmp_path_factory.mktemp("bundle") / architecture
        preprocessing = more.pop("preprocessing", Preprocessing(size, size, channels))
        config = BundleConfig(folder.name, architecture, labels, preprocessing, **more)
        torch.manual_seed(0)
        network = config.build_network()
        calm_statistics(network)
        write_bundle(folder, network, config)
        return folder

    return make


def calm_statistics(network) -> None:
    """Give batch norms plausible statistics and the head real weights, as after training."""
    import torch

    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    head = network.get_classifier()
    torch.nn.init.normal_(head.weight, 0, 0.1, generator=generator)
    torch.nn.init.normal_(head.bias, 0, 0.5, generator=generator)


@pytest.fixture(scope="session")
def toy_run(kermany_like: Path, once: Callable[..., Path]) -> Path:
    """A bundle trained in seconds on ``kermany_like`` by the real trainer."""
    from cxrcore.training.run import fit
    from train.recipes import open_recipe

    return once("toy", lambda folder: fit(open_recipe("pneumonia-resnet18", TOY), kermany_like, folder))


TOY = (
    "optimizer.epochs=2",
    "optimizer.batch_size=8",
    "optimizer.ema=0.5",
    "optimizer.precision=fp32",
    "preprocessing.height=32",
    "preprocessing.width=32",
    "data.val_fraction=0.2",
    "data.test_fraction=0.2",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One real browser for every test that needs one: Playwright allows no second in a process."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    arguments = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        try:
            opened = driver.chromium.launch(executable_path=chromium, args=arguments)
        except playwright.Error as error:
            reason = f"Chromium does not start: {str(error).splitlines()[0]}"
            pytest.fail(reason) if os.environ.get("CXR_REQUIRE_BROWSER") else pytest.skip(reason)
        yield opened
        opened.close()
