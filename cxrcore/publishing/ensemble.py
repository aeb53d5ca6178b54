"""Make an ensemble of bundles: find them, copy them into one folder, write its card."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cxrcore.bundle.config import EnsembleConfig
from cxrcore.bundle.ensemble_folder import write_ensemble
from cxrcore.models.opening import find_bundle
from cxrcore.publishing.model_card import write_ensemble_card


def make_ensemble(references: Sequence[str | os.PathLike[str]], out: Path) -> EnsembleConfig:
    """Make ``out`` an ensemble of copies of these models (embedded names, folders or ``user/repo``).

    Raises BundleNotFound, or what ``write_ensemble`` raises; then nothing is left behind.
    """
    return write_ensemble([find_bundle(reference) for reference in references], out, write_ensemble_card)
