"""``cxr models``: the models that open without a download, and adding one to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cxrcore.bundle.folder import CONFIG, embedded_models
from cxrcore.errors import BundleNotFound
from cxrcore.hub.cache import cached_references
from cxrcore.models.opening import find_bundle
from cxrcore.serving.catalog import model_summary
from cxrcore.text import size_text
from train.terminal import print_json


def list_models(as_json: bool = False) -> None:
    """Print a line a model: the embedded ones, then those pulled from the Hub. Raises CxrError."""
    models = list(describe_models())
    if as_json:
        for model in models:
            print_json(model)
        return
    width = max((len(model["name"]) for model in models), default=0)
    for model in models:
        facts = [model["architecture"], ", ".join(model["findings"]), model["notices"]]
        print(f"{model['name']:{width}}  {model['labels']:10}  {'; '.join(filter(None, facts))}")


def embed_model(run: Path, name: str | None = None) -> None:
    """Put what ships of a bundle into ``assets/models`` and print its files. Raises CxrError."""
    if not (run / CONFIG).is_file():
        raise BundleNotFound(f"{run.name!r} is no bundle (no {CONFIG}); train one, or name its folder")
    from cxrcore.publishing.embed import embed_bundle

    folder = embed_bundle(run, name or run.resolve().name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        print(f"{size_text(path.stat().st_size):>9}  {path.relative_to(folder)}")
    print(f"{size_text(sum(path.stat().st_size for path in files)):>9}  in {folder.name}")


def describe_models() -> Iterator[dict[str, Any]]:
    """The facts of each model, from its config alone."""
    for name in (*embedded_models(), *cached_references()):
        yield dict(model_summary(name, find_bundle(name)))
