"""Training runs without the model card, whose pictures take longer than two epochs on forty small films."""

from pathlib import Path
from unittest.mock import patch

from cxrcore.training import run
from cxrcore.training.config import Recipe


def quick_fit(recipe: Recipe, data: Path, out: Path, resume: bool = False) -> Path:
    """``fit``, but for the card."""
    with patch.object(run, "write_model_card"):
        return run.fit(recipe, data, out, resume)
