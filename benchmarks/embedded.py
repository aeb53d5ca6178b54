"""README's table of the embedded models, from the scores that they carry, and their cards: ``make figures``.

    python -m benchmarks.embedded

The numbers are those of the cards: ``evaluation/*-test/metrics.json``, by ``cxr evaluate``. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring import ROOT, table_text, write_section
from cxrcore.bundle.folder import embedded_models, is_ensemble, read_config, read_ensemble
from cxrcore.evaluation.record import METRICS, Metrics, read_metrics
from cxrcore.metrics.operating_points import disease_of
from cxrcore.models.opening import find_bundle
from cxrcore.publishing.model_card import write_model_card
from cxrcore.serving.notices import read_notices
from cxrcore.text import NumberFormat

README, SECTION = ROOT / "README.md", "embedded models"
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


def main() -> None:
    """Write README's table and every embedded model's card."""
    for task in embedded_models():
        folder = find_bundle(task)
        if not is_ensemble(folder):
            write_model_card(folder, read_config(folder), pictures=False, embedded=True)
    write_section(README, SECTION, embedded_table())
    print(f"{README.name} and {len(embedded_models())} cards are written")


if __name__ == "__main__":
    main()
