"""The library stands on its own feet: cheap to import, and no screen in it."""

import subprocess
import sys

import pytest

import cxrcore

HEAVY = ("torch", "timm", "gradio", "streamlit", "typer", "pandas", "pytorch_grad_cam", "huggingface_hub")


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_import_loads_nothing_heavy():
    loaded = run(f"import sys, cxrcore; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded.strip() == "[]"


@pytest.mark.slow
def test_library_imports_without_the_screens_and_the_command_line():
    code = """
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("gradio", "streamlit", "typer", "app", "dashboard", "train"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import cxrcore
names = [m.name for m in pkgutil.walk_packages(cxrcore.__path__, "cxrcore.")]
for name in names: importlib.import_module(name)
print(len(names))
"""
    assert int(run(code)) > 20


def test_listing_models_and_reading_their_scores_loads_no_torch():
    code = """
import sys, cxrcore
from cxrcore.models.opening import find_bundle; from cxrcore.bundle.folder import read_config, read_metrics
for name in cxrcore.embedded_models():
    read_config(find_bundle(name)), read_metrics(find_bundle(name))
print("torch" in sys.modules, "timm" in sys.modules)
"""
    assert run(code).strip() == "False False"


def test_every_public_name_can_be_had():
    assert all(getattr(cxrcore, name) for name in cxrcore.__all__)
