"""``cxr ensemble``: several bundles become one folder that answers with their mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from cxrcore.publishing import ensemble
from cxrcore.serving.notices import read_notices


def make_ensemble(references: Sequence[str], out: Path, data: Path | None = None) -> str:
    """Write the folder; returns what it holds, and what was fitted on which films. Raises CxrError."""
    config = ensemble.make_ensemble(
        references, out, data, lambda films: tqdm(films, unit="film", desc="validation", disable=None, leave=False)
    )
    made = f"{out}: {', '.join(config.members)} ({read_notices(out).cost}); "
    if config.why:
        return f"{made}no operating point was fitted for their mean: {config.why}"
    films = config.provenance["fitted_on"]
    fitted = ["calibration"]
    fitted += ["operating points"] if config.operating_points else []
    fitted += ["evidence levels"] if any(level is not None for level in config.evidence_levels.values()) else []
    whom = f"{films['films']:,} validation films of {films['patients']:,} patients ({films['dataset']})"
    return f"{made}{', '.join(fitted)} of their mean fitted on {whom}"
