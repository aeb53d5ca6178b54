"""Learning rate schedules: functions of the step alone, so that a resumed run continues with the same rate."""

from __future__ import annotations

import math

from cxrcore.training.config import OptimizerConfig


def rate(options: OptimizerConfig, step: int, steps: int, reductions: int = 0) -> float:
    """Learning rate at ``step`` (from 0, over the whole run) with ``steps`` in an epoch.

    ``reductions``: how often ``plateau`` has cut it so far, see ``Progress.reductions``.
    """
    if options.schedule == "one_cycle":
        return one_cycle(step, options.epochs * steps, options.warmup, options.lr)
    if options.schedule == "cosine_restarts":
        return cosine_restarts(step / steps, options.restart_epochs, options.restart_factor, options.lr)
    if options.schedule == "plateau":
        return options.lr * options.plateau_factor**reductions
    return options.lr


def one_cycle(step: int, total: int, warmup: float, peak: float) -> float:
    """Cosine up from peak/25 over the first ``warmup`` share of steps, then cosine to nearly 0 (arXiv:1708.07120)."""
    rise = max(1.0, warmup * total)
    if step < rise:
        return peak * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / rise)) / 2)
    return peak * max(1e-5, (1 + math.cos(math.pi * (step - rise) / max(1.0, total - rise))) / 2)


def cosine_restarts(epoch: float, first: int, factor: int, peak: float) -> float:
    """Cosine from peak to 0 over ``first`` epochs, again over ``factor`` times as many, etc. (arXiv:1608.03983)."""
    length = float(first)
    while epoch >= length:
        epoch -= length
        length *= factor
    return peak * (1 + math.cos(math.pi * epoch / length)) / 2
