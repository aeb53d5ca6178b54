"""``cxr adapt``: a model's calibration, operating points and evidence levels for one's own site."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tqdm import tqdm

import cxrcore
from cxrcore.datasets.cache import open_films
from cxrcore.datasets.registry import detect_dataset, folder_of
from cxrcore.errors import CxrError
from cxrcore.evaluation.adapt import summary_lines
from cxrcore.evaluation.shared_findings import read_for
from cxrcore.models.classifier import Classifier
from cxrcore.resources import keep_freed_memory
from cxrcore.training.adapt import REPORT, adapt_bundle, new_to


def adapt_model(reference: str, data: Path, out: Path, dataset: str | None = None) -> None:
    """Write the adapted bundle and print what changed. Raises CxrError."""
    model = cxrcore.load(reference)
    if not isinstance(model, Classifier):
        raise CxrError("an ensemble is not adapted as a whole: adapt its members and make it again")
    keep_freed_memory()
    folder = folder_of(data)
    table = read_for(model.labels, dataset or detect_dataset(folder), folder)
    for note in table.notes:
        tqdm.write(note)
    table = new_to(model, table, tqdm.write)
    films = open_films(table, model.preprocessing, progress=partial(tqdm, disable=None, leave=False))
    for line in films.skipped:
        tqdm.write(f"skipped {line}")
    report = adapt_bundle(model, films, out, tqdm.write)
    tqdm.write("\n".join(summary_lines(report)))
    if gate := report.get("gate"):
        before, after = (gate["far_from_training"][when] for when in ("before", "after"))
        tqdm.write(f"Far from training by the input gate: {before:.1%} of these films before, {after:.1%} after.")
    kept = f"; {', '.join(report['kept'])} as before, for lack of films" if report["kept"] else ""
    tqdm.write(
        f"{out}: {report['parent']} adapted on {report['films']:,} films of {report['patients']:,} patients{kept}. "
        f"After: each film by numbers fitted on other patients. {REPORT} has the intervals."
    )
