"""``cxr pull``: a model from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from cxrcore.bundle.folder import is_ensemble, read_config, read_ensemble
from cxrcore.bundle.reference import origin
from cxrcore.hub.pull import pull_bundle


def pull(repo: str, out: Path | None = None) -> Path:
    """Download ``user/repo[@revision]`` as it is on the Hub now and print how to open it. Raises CxrError."""
    folder = pull_bundle(repo, out=out, say=tqdm.write)
    name = read_ensemble(folder).name if is_ensemble(folder) else read_config(folder).name
    tqdm.write(f"{name} opens offline as {origin(folder) or folder}")
    return folder
