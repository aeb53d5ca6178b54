"""The page's ES modules: their own tests run in Node, and their linter where npm has installed it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from page.viewer import FOLDER, script
from tests.app.visit import ROOT

MODULES = sorted(path for path in FOLDER.glob("*.js") if path.name != "load.js")


def run(*command: str) -> None:
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stdout + process.stderr


def test_the_modules_own_tests_pass() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    run(node, "--test", *map(str, sorted((ROOT / "tests" / "app" / "js").glob("*.test.js"))))


def test_the_linter_finds_nothing() -> None:
    eslint = ROOT / "node_modules" / ".bin" / "eslint"
    if not eslint.exists():
        pytest.skip("eslint is not installed: npm install --no-package-lock")
    run(str(eslint), "assets/app", "tests/app/js")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_every_import_names_a_module_of_the_folder(module) -> None:
    """The loader links modules by this form of import alone; a circle would never end."""
    source = module.read_text("utf-8")
    imports = re.findall(r"^import .* from \"\./([^\"]+)\";$", source, re.MULTILINE)
    assert len(imports) == len(re.findall(r"^\s*import\b", source, re.MULTILINE))
    assert set(imports) <= {path.name for path in MODULES}
    assert module.name not in _reachable(module.name)


def test_the_page_is_sent_every_module() -> None:
    assert all(f'"{path.name}": "' in script() for path in MODULES)


def _reachable(name: str) -> set[str]:
    seen: set[str] = set()
    waiting = {name}
    while waiting:
        source = (FOLDER / waiting.pop()).read_text("utf-8")
        found = set(re.findall(r" from \"\./([^\"]+)\"", source)) - seen
        seen |= found
        waiting |= found
    return seen
