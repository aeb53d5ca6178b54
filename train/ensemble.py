"""``cxr ensemble``: several bundles become one folder that answers with their mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cxrcore.publishing import ensemble
from cxrcore.serving.notices import read_notices


def make_ensemble(references: Sequence[str], out: Path) -> str:
    """Write the folder; returns what it holds in one line. Raises CxrError for bundles that cannot be averaged."""
    config = ensemble.make_ensemble(references, out)
    return (
        f"{out}: {', '.join(config.members)} ({read_notices(out).cost}); no operating point was fitted for their mean"
    )
