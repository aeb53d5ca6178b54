"""Tables of the embedded models in README and docs/trust.md, from their scores, and their cards: ``make figures``.

    python -m benchmarks.embedded

The numbers are those of the cards: ``evaluation/*-test/metrics.json``, by ``cxr evaluate``. Scores that were stored
without those before calibration get them from their own table of predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring import ROOT, table_text, write_section
from cxrcore.bundle.folder import embedded_models, is_ensemble, read_config, read_ensemble
from cxrcore.evaluation.record import METRICS, Metrics, read_metrics
from cxrcore.evaluation.summary import with_uncalibrated
from cxrcore.metrics.operating_points import disease_of
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import PREDICTIONS, Predictions
from cxrcore.publishing.model_card import write_model_card
from cxrcore.reporting.reliability import HEAD as RELIABILITY_HEAD
from cxrcore.reporting.reliability import reliability_rows
from cxrcore.serving.notices import read_notices
from cxrcore.storage import write_json
from cxrcore.text import NumberFormat

README, SECTION = ROOT / "README.md", "embedded models"
TRUST, RELIABILITY = ROOT / "docs" / "trust.md", "reliability"
HEAD = ("model", "findings", "learned from", "scored on", "AUROC", "sensitivity", "specificity")
NUMBER = NumberFormat(leading_zero=False)
SHOWN = 3  # findings named in a row


def embedded_table() -> str:
    """A row for every embedded model and test set, as Markdown; figures are the card's, without a leading 0."""
    rows: list[Sequence[str]] = [HEAD]
    for task in embedded_models():
        folder = find_bundle(task)
        for path in sorted(folder.glob(f"evaluation/*-test/{METRICS}")):
            rows.append(_row(task, folder, read_metrics(path)))
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


def main() -> None:
    """Write README's table, that of docs/trust.md and every embedded model's card."""
    for task in embedded_models():
        folder = find_bundle(task)
        if not is_ensemble(folder):
            complete_scores(folder)
            write_model_card(folder, read_config(folder), pictures=False, embedded=True)
    write_section(README, SECTION, embedded_table())
    write_section(TRUST, RELIABILITY, reliability_table())
    print(f"{README.name}, {TRUST.name} and {len(embedded_models())} cards are written")


if __name__ == "__main__":
    main()
