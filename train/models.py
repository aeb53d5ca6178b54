"""``cxr models``: the models that open without a download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cxrcore.bundle.folder import embedded_models, is_ensemble, read_config, read_ensemble
from cxrcore.hub.cache import cached_references
from cxrcore.models.opening import find_bundle
from cxrcore.serving.notices import read_notices
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


def describe_models() -> Iterator[dict[str, Any]]:
    """Name, label set, findings and architecture of each model, from its config alone."""
    for name in (*embedded_models(), *cached_references()):
        folder = find_bundle(name)
        config = read_ensemble(folder) if is_ensemble(folder) else read_config(folder)
        yield {
            "name": name,
            "labels": config.labels.name,
            "kind": str(config.labels.kind),
            "findings": list(config.labels),
            "architecture": getattr(config, "architecture", "ensemble"),
            "notices": read_notices(folder).short,
        }
