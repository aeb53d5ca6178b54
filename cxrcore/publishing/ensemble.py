"""Make an ensemble out of bundles: find them, copy them, write the card."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cxrcore.bundle.config import EnsembleConfig
from cxrcore.bundle.ensemble_folder import write_ensemble
from cxrcore.bundle.folder import MEMBERS
from cxrcore.models.opening import find_bundle
from cxrcore.publishing.model_card import CARD, illustrate


def make_ensemble(references: Sequence[str | os.PathLike], out: Path) -> EnsembleConfig:
    """Make ``out`` an ensemble of copies of these models (embedded names, folders or ``user/repo``).

    Raises BundleNotFound, or what ``write_ensemble`` raises; then nothing is left behind.
    """
    return write_ensemble([find_bundle(reference) for reference in references], out, write_ensemble_card)


def write_ensemble_card(folder: Path, config: EnsembleConfig) -> None:
    """Write the README.md of an ensemble's folder, and the figures of its members' cards."""
    for member in config.members:
        illustrate(folder / MEMBERS / member)
    origins = config.provenance["members"]
    members = "\n".join(
        f"- [{origin['name']}]({MEMBERS}/{folder}/README.md): {origin['architecture']}, weights {origin['weights']}"
        for folder, origin in zip(config.members, origins, strict=True)
    )
    front = "---\nlibrary_name: timm\npipeline_tag: image-classification\ntags: [chest-x-ray, cxrcore, ensemble]\n---"
    drawn = "\nA member learned from synthetic films: drawings, of nobody.\n"
    synthetic = drawn if config.provenance["synthetic"] else ""
    text = f"""{front}

# {config.name}

**For research and teaching only. Not a medical device; never for diagnosis.**
{synthetic}
{len(config.members)} models that answer as one: the mean of their calibrated probabilities, and of their heatmaps. A
film takes about as long as in all of them together.

{members}

No operating point was fitted for the ensemble, so it names no finding positive by a threshold; and it was not scored as
a whole unless `evaluation/` says so. Plain timm opens the members, not this folder.
"""
    (folder / CARD).write_text(text, "utf-8")
