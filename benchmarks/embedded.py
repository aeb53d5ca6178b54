"""Tables of the embedded models in README and docs/trust.md, from their scores, and their cards: ``make figures``.

    python -m benchmarks.embedded
    python -m benchmarks.embedded --maps nih14 --dataset nih --data DIR --faithfulness 60
    python -m benchmarks.embedded --shake nih14 --dataset nih --data DIR --films 300

The numbers are those of the cards: ``evaluation/*-test/metrics.json``, by ``cxr evaluate``. Scores that were stored
without those before calibration get them from their own table of predictions. Nothing else is measured here but with
``--maps``, which evaluates a model's test films again and stores what that says of its maps, no other figure, and with
``--shake``, which scores some of them changed and stores that beside their scores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from benchmarks.measuring import ROOT, table_text, write_section
from cxrcore.bundle.folder import embedded_models, is_ensemble, read_config, read_ensemble
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.evaluation.evaluate import evaluate, films_of_split
from cxrcore.evaluation.record import METRICS, Metrics, read_metrics
from cxrcore.evaluation.robustness import HEAD as HEAD_OF_CHANGES
from cxrcore.evaluation.robustness import ROBUSTNESS, as_rows, measure_robustness, read_robustness
from cxrcore.evaluation.summary import with_uncalibrated
from cxrcore.metrics.operating_points import disease_of
from cxrcore.models.opening import find_bundle, load
from cxrcore.predictions.record import PREDICTIONS, Predictions
from cxrcore.publishing.model_card import write_model_card
from cxrcore.reporting.reliability import HEAD as RELIABILITY_HEAD
from cxrcore.reporting.reliability import reliability_rows
from cxrcore.serving.notices import read_notices
from cxrcore.storage import write_json
from cxrcore.text import NumberFormat

README, SECTION = ROOT / "README.md", "embedded models"
TRUST, RELIABILITY, ROBUST = ROOT / "docs" / "trust.md", "reliability", "changed films"
HEAD = ("model", "findings", "learned from", "scored on", "AUROC", "sensitivity", "specificity")
NUMBER = NumberFormat(leading_zero=False)
MAPS = "maps hit a box (noise)"  # a column where some evaluation has boxes
SHORT = NumberFormat(digits=2, leading_zero=False)
SHOWN = 3  # findings named in a row


def embedded_table() -> str:
    """A row for every embedded model and test set, as Markdown; figures are the card's, without a leading 0."""
    rows: list[tuple[str, ...]] = [(*HEAD, MAPS)]
    for task in embedded_models():
        folder = find_bundle(task)
        for path in sorted(folder.glob(f"evaluation/*-test/{METRICS}")):
            metrics = read_metrics(path)
            rows.append((*_row(task, folder, metrics), _hits(metrics)))
    boxed = any(row[-1] for row in rows[1:])
    return table_text(rows if boxed else [row[:-1] for row in rows])


def _hits(metrics: Metrics) -> str:
    """Share of boxes that hold the map's maximum, and that of random maps; empty without boxes."""
    found = metrics.localisation
    if found is None or not found.n or found.control is None:
        return ""
    return f"{SHORT.estimate(found.scores['hit'])} of {found.n} ({SHORT.number(found.control['hit'].value)})"


def add_map_scores(task: str, dataset: str, data: Path, faithfulness: int) -> Path:
    """Evaluate a model's test films again and add the scores of its maps to its metrics.json; returns that path.

    Raises InvalidDataset where these are not the films that it was scored on, or not by these weights.
    """
    path = find_bundle(task) / "evaluation" / f"{dataset}-test" / METRICS
    stored = read_metrics(path)
    with tempfile.TemporaryDirectory(prefix="cxr-maps-") as scratch:
        new = evaluate(load(task), dataset, data, "test", Path(scratch), log=print, faithfulness=faithfulness)
    if (new.model, new.n, new.n_patients) != (stored.model, stored.n, stored.n_patients):
        raise InvalidDataset(f"{task} was scored on {stored.n} films as {stored.model}; here {new.n} as {new.model}")
    findings = {
        name: replace(scores, localisation=new.findings[name].localisation) for name, scores in stored.findings.items()
    }
    whole = replace(stored, findings=findings, localisation=new.localisation, faithfulness=new.faithfulness)
    write_json(path, whole.to_dict())
    return path


def add_robustness(task: str, dataset: str, data: Path, count: int) -> Path:
    """Score some of a model's test films changed, and store that beside their scores; returns that path.

    Raises InvalidDataset where these are not the films that it was scored on, or not by these weights.
    """
    folder = find_bundle(task) / "evaluation" / f"{dataset}-test"
    model, stored, scored = load(task), read_metrics(folder / METRICS), Predictions.read(folder / PREDICTIONS)
    table = films_of_split(model, dataset, data, "test")
    paths = dict(zip(table.images, table.paths, strict=True))
    if model.id != stored.model or not set(scored.images.tolist()) <= set(paths):
        raise InvalidDataset(f"{task} was scored as {stored.model} on films that are not all here, or by other weights")
    result = measure_robustness(model, paths, scored, stored, count, tqdm)
    write_json(folder / ROBUSTNESS, result)
    return folder / ROBUSTNESS


def robustness_table() -> str:
    """A row for each embedded model and change: the mean over findings on its changed test films."""
    rows: list[Sequence[str]] = [("model", "films", *HEAD_OF_CHANGES)]
    for task in embedded_models():
        for path in sorted(find_bundle(task).glob(f"evaluation/*-test/{METRICS}")):
            if data := read_robustness(path.parent, read_metrics(path).model):
                who = f"{data['n']:,} of {data['n_patients']:,} patients"
                rows += [(task, who if k == 0 else "", *row) for k, row in enumerate(as_rows(data))]
    return table_text(rows)


def _row(task: str, folder: Path, metrics: Metrics) -> tuple[str, ...]:
    labels = (read_ensemble(folder) if is_ensemble(folder) else read_config(folder)).labels
    notices, names = read_notices(folder), [finding.title for finding in labels.findings]
    who = "drawn films; says nothing about people" if notices.synthetic else notices.who
    disease = disease_of(labels)
    if disease is None:
        area, rates = f"mean {NUMBER.estimate(metrics.macro.auroc)}", ["", ""]
    else:
        scores = metrics.findings[disease]
        area = NUMBER.estimate(scores.auroc)
        rates = [NUMBER.estimate(scores.rate(name)) for name in ("sensitivity", "specificity")]
    return (
        f"[`{task}`]({folder.relative_to(ROOT).as_posix()}/README.md)",
        ", ".join(names) if len(names) <= SHOWN else f"{len(names)}, such as {', '.join(names[:SHOWN])}",
        who,
        f"{metrics.n:,} films of {metrics.n_patients:,} patients ({metrics.dataset}, {metrics.origin.label})",
        area,
        *rates,
    )


def reliability_table() -> str:
    """Two rows for every finding of every embedded model on its test films, before and after calibration."""
    rows: list[Sequence[str]] = [("model", *RELIABILITY_HEAD)]
    for task in embedded_models():
        for path in sorted(find_bundle(task).glob(f"evaluation/*-test/{METRICS}")):
            rows += [(task, *row) for row in reliability_rows(read_metrics(path))]
    return table_text(rows)


def complete_scores(folder: Path) -> None:
    """Store the scores before calibration beside those of a bundle's evaluations that have a table and lack them."""
    for path in sorted(folder.glob(f"evaluation/*/{METRICS}")):
        metrics, table = read_metrics(path), path.with_name(PREDICTIONS)
        if table.is_file() and any(scores.uncalibrated is None for scores in metrics.findings.values()):
            films = Predictions.read(table).of_split(metrics.split)
            write_json(path, with_uncalibrated(metrics, films).to_dict())


def main() -> int:
    """Write README's table, that of docs/trust.md and every embedded model's card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--maps", metavar="TASK", help="first measure the maps of this model")
    parser.add_argument("--shake", metavar="TASK", help="first score changed test films of this model")
    parser.add_argument("--films", type=int, default=300, metavar="N", help="how many of them, drawn at random")
    parser.add_argument("--dataset", help="of its test films")
    parser.add_argument("--data", type=Path, help="their folder")
    parser.add_argument("--faithfulness", type=int, default=0, metavar="N", help="films for deletion and insertion")
    options = parser.parse_args()
    if options.maps or options.shake:
        if not (options.dataset and options.data):
            parser.error("--maps and --shake need --dataset and --data")
        try:
            if options.maps:
                add_map_scores(options.maps, options.dataset, options.data, options.faithfulness)
            if options.shake:
                add_robustness(options.shake, options.dataset, options.data, options.films)
        except CxrError as error:
            print(f"embedded: {error}", file=sys.stderr)
            return 2
    for task in embedded_models():
        folder = find_bundle(task)
        if not is_ensemble(folder):
            complete_scores(folder)
            write_model_card(folder, read_config(folder), pictures=False, embedded=True)
    write_section(README, SECTION, embedded_table())
    write_section(TRUST, RELIABILITY, reliability_table())
    write_section(TRUST, ROBUST, robustness_table())
    print(f"{README.name}, {TRUST.name} and {len(embedded_models())} cards are written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
