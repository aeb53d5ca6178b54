"""``cxr evaluate``: score a model on one split of a dataset, from its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

import cxrcore
from cxrcore.bundle.folder import is_ensemble, read_config, read_ensemble
from cxrcore.errors import CxrError
from cxrcore.evaluation.shared_findings import read_for
from cxrcore.models.opening import find_bundle
from cxrcore.resources import keep_freed_memory


def evaluate_model(
    reference: str,
    dataset: str,
    data: Path,
    split: str,
    out: Path,
    folders: Sequence[str] = (),
    all_negatives: bool = False,
    faithfulness: int = 0,
    shake: int = 0,
) -> dict:
    """Write the scores into ``out``, print them, and return them. Raises CxrError."""
    refuse_unreadable(reference, dataset, data, folders)
    import torch

    from cxrcore.evaluation.evaluate import evaluate
    from cxrcore.evaluation.record import as_table
    from cxrcore.evaluation.robustness import as_table as robustness_table
    from cxrcore.evaluation.robustness import read_robustness
    from cxrcore.models.distributed import join_processes
    from cxrcore.models.golden import self_test
    from cxrcore.publishing.model_card import show_checks

    first = join_processes().is_main_process
    say = tqdm.write if first else lambda text: None
    model = cxrcore.load(reference)
    if not torch.cuda.is_available():
        keep_freed_memory()
    check = self_test(model)
    if check.passed is False:
        raise CxrError(f"{model.name} does not compute here what it computed when it was made: {check.why}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise CxrError(f"cannot write into {out.name!r}; choose another --out") from None
    bar = (lambda films: tqdm(films, unit="film", disable=None, leave=False)) if first else iter
    metrics = evaluate(model, dataset, data, split, out, bar, say, folders, all_negatives, faithfulness, shake)
    say(as_table(metrics))
    if shake and first:
        changed = read_robustness(out, metrics.model)
        assert changed is not None
        say(robustness_table(changed))
        if model.folder is not None and out.resolve().parent.parent == model.folder.resolve():
            show_checks(model.folder)
    say(f"scores written to {out}")
    return metrics.to_dict()


def refuse_unreadable(reference: str, dataset: str, data: Path, folders: Sequence[str] = ()) -> None:
    """Raise CxrError, before any network is imported, where there is no such model or no such films in its findings."""
    folder = find_bundle(reference)
    labels = (read_ensemble(folder) if is_ensemble(folder) else read_config(folder)).labels
    read_for(labels, dataset, data, folders)
