"""``cxr adapt``: a model's calibration, operating points and evidence levels for one's own site."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tqdm import tqdm

import cxrcore
from cxrcore.datasets.cache import open_films
from cxrcore.datasets.registry import detect_dataset
from cxrcore.errors import CxrError, InvalidDataset
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
    folder = _folder_of(data)
    table = read_for(model.labels, dataset or detect_dataset(folder), folder)
    for note in table.notes:
        tqdm.write(note)
    table = new_to(model, table, tqdm.write)
    films = open_films(table, model.preprocessing, progress=partial(tqdm, disable=None, leave=False))
    for line in films.skipped:
        tqdm.write(f"skipped {line}")
    report = adapt_bundle(model, films, out, tqdm.write)
    tqdm.write("\n".join(summary_lines(report)))
    kept = f"; {', '.join(report['kept'])} as before, for lack of films" if report["kept"] else ""
    tqdm.write(
        f"{out}: {report['parent']} adapted on {report['films']:,} films of {report['patients']:,} patients{kept}. "
        f"After: each film by numbers fitted on other patients. {REPORT} has the intervals."
    )


def _folder_of(data: Path) -> Path:
    """The folder itself, or that of a label table, which must be the only one there."""
    if not data.is_file():
        return data
    others = [path.name for path in sorted(data.parent.glob("*.csv")) if path != data]
    if data.suffix.lower() != ".csv" or others:
        beside = f" beside {others[0]}" if others else ""
        raise InvalidDataset(f"{data.name!r}{beside}: give a folder, or a CSV that is the only one in its folder")
    return data.parent
