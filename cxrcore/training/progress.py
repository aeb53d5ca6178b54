"""Best epoch, plateau and early stop, from the metric of every epoch so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The metric after every epoch; None where it was undefined, which never counts as better."""

    values: Sequence[float | None] = ()
    smaller_is_better: bool = False

    def with_value(self, value: float | None) -> Progress:
        """The same with one more epoch."""
        return Progress([*self.values, value], self.smaller_is_better)

    @property
    def improved(self) -> list[bool]:
        """Per epoch, whether it was better than all before it; the first epoch with a value is."""
        best: float | None = None
        improved = []
        for value in self.values:
            score = None if value is None else -value if self.smaller_is_better else value
            better = score is not None and (best is None or score > best)
            best = score if better else best
            improved.append(better)
        return improved

    @property
    def last_is_best(self) -> bool:
        """Whether the last epoch was better than all before it."""
        return bool(self.values) and self.improved[-1]

    @property
    def best_epoch(self) -> int | None:
        """Number of the best epoch, from 1; None before there is one."""
        return max((epoch for epoch, better in enumerate(self.improved, 1) if better), default=None)

    def stalled(self, patience: int) -> bool:
        """Whether the last ``patience`` epochs all failed to improve; never for 0."""
        recent = self.improved[-patience:] if patience else []
        return bool(patience) and len(recent) == patience and not any(recent)

    def reductions(self, patience: int) -> int:
        """How often ReduceLROnPlateau would have cut the rate: when more than ``patience`` epochs in a row fail."""
        cuts = failed = 0
        for better in self.improved:
            failed = 0 if better else failed + 1
            if failed > patience:
                cuts, failed = cuts + 1, 0
        return cuts
