"""The wheel works outside the repository: built, installed into a clean environment, used from an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from sysconfig import get_path
from typing import Any

import pytest

import cxrcore
from tests.conftest import ROOT
from tests.servers import running

pytestmark = pytest.mark.slow

SOURCES = ("pyproject.toml", "setup.py", "requirements.txt", "README.md", "LICENSE", "app.py", "assets")
PACKAGES = ("cxrcore", "page", "dashboard", "train")
EXAMPLE = "assets/examples/normal.png"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, so that no older build's files get in."""
    sources, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in (*SOURCES, *PACKAGES):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        elif (ROOT / name).is_file():
            shutil.copy(ROOT / name, sources / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, ".", "--wheel-dir", str(out)], cwd=sources, check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of an environment with the wheel in it, which sees the packages that are installed here."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    clear = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    subprocess.run([*pip, str(wheel)], check=True, cwd=wheel.parent, env=clear)  # there is no egg-info of the checkout
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "packages.pth").write_text(get_path("purelib") + "\n")  # a .pth file there is not followed
    return folder / "bin"


@pytest.fixture
def environment(bin_folder: Path, tmp_path: Path) -> dict[str, str]:
    """Nothing that leads to the checkout."""
    ours = ("PYTHON", "CXR_", "VIRTUAL_ENV", "COV_")
    own = {"PATH": f"{bin_folder}:/usr/bin:/bin", "HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | own


@pytest.fixture
def cxr(bin_folder: Path, tmp_path: Path, environment: dict[str, str]) -> Any:
    """``cxr(*arguments)``: the installed command, run in an empty folder."""
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(bin_folder / "cxr"), *arguments]
        return subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)

    return run


def test_the_wheel_holds_what_its_code_reads_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.suffix in (".py", ".yaml", ".toml", ".html", ".css", ".jinja") and "__pycache__" not in path.parts:
                assert path.relative_to(ROOT).as_posix() in names
    for folder in ("models", "examples"):
        for path in (ROOT / "assets" / folder).rglob("*"):
            assert path.is_dir() or f"cxrcore/{path.relative_to(ROOT).as_posix()}" in names
    stubs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cxrcore").rglob("__init__.pyi")}
    assert {"app.py", "cxrcore/py.typed", *stubs} <= names
    assert not [
        name
        for name in names
        if name.startswith(("tests/", "benchmarks/")) or (name.startswith("page/") and name.endswith(".pyi"))
    ]


def test_the_command_line_works_in_an_empty_folder(cxr: Any, bin_folder: Path, environment: dict[str, str]) -> None:
    where = [str(bin_folder / "python"), "-c", "import cxrcore.resources as r; print(r.ASSETS)"]
    assets = subprocess.run(where, cwd=bin_folder, env=environment, capture_output=True, text=True, check=True).stdout
    assert Path(assets.strip()).is_relative_to(bin_folder.parent)
    assert cxr("--version").stdout == f"cxr {cxrcore.__version__}\n"
    models = [json.loads(line)["name"] for line in cxr("models", "--json").stdout.splitlines()]
    assert models == list(cxrcore.embedded_models())
    assert "phantom-resnet10t" in cxr("recipes").stdout
    assert "Usage" in cxr("fit", "--help").stdout
    for verb in (["bench"], ["deploy", "user/space", "--model", "phantom"]):
        done = cxr(*verb)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1


def test_predict_answers_as_the_checkout_does(cxr: Any) -> None:
    done = cxr("predict", "phantom", str(ROOT / EXAMPLE), "--json")
    assert done.returncode == 0, done.stderr
    here = cxrcore.load("phantom").predict(cxrcore.read_radiograph(ROOT / EXAMPLE))
    assert json.loads(done.stdout)["probabilities"] == pytest.approx(here.probabilities, abs=1e-3)


def test_the_app_and_the_dashboard_start(
    bin_folder: Path, tmp_path: Path, environment: dict[str, str], browser: Any
) -> None:
    for screen, element in (
        ("app", "#viewer [data-part=choose]"),
        ("dashboard", "[data-testid=stMetricValue]"),
    ):
        command = [str(bin_folder / "cxr"), screen, "--model", "phantom"]
        with running(command, tmp_path, environment) as server:
            page = browser.new_page()
            problems: list[str] = []
            page.on("pageerror", lambda error, problems=problems: problems.append(str(error)))
            page.goto(server.url)
            page.locator(element).first.wait_for(timeout=60_000)
            page.wait_for_function("document.body.innerText.includes('phantom')", timeout=60_000)
            page.close()
            assert not problems
