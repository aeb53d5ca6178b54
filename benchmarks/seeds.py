"""The table in docs/seeds.md: five published systems, their recipes here, our best models on the same films.

    python -m benchmarks.seeds runs/seeds        # runs/seeds/<name>/metrics.json, as cxr evaluate --out writes them

The document says which command writes which folder. A cell whose scores are not there stays as it is.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import ROOT, read_section, table_text, write_section
from cxrcore.errors import CxrError
from cxrcore.evaluation.record import METRICS, Metrics, read_metrics
from cxrcore.findings import Kind
from cxrcore.text import NumberFormat

DOCUMENT = ROOT / "docs" / "seeds.md"
SHORT = NumberFormat(digits=2, leading_zero=False)
HEADER = ("system", "what it claims", "its recipe here", "our best on the same films")


@dataclass(frozen=True)
class System:
    """A published system and the folders with the scores of its recipe and of our best."""

    title: str
    claims: str
    recipe: str
    best: str


SYSTEMS = (
    System(
        "[ResNet-18 on 5,000 NIH films](#resnet-18-on-5000-nih-films)",
        "fourteen findings in an hour; no score",
        "nih-5000",
        "nih-5000-best",
    ),
    System(
        "[EfficientNet-B3 on 40,000 NIH films](#efficientnet-b3-on-40000-nih-films)",
        "targets: mean AUROC .85 to .88, accuracy .75 to .80, on films drawn at random",
        "nih-40000",
        "nih-40000-best",
    ),
    System(
        "[DenseNet121 on 875 NIH films](#densenet121-on-875-nih-films)",
        "comparable with published research; best at Cardiomegaly, Emphysema, Mass and Edema; no number",
        "nih-1404",
        "nih-1404-best",
    ),
    System(
        "[EfficientNet-B0, tuberculosis](#efficientnet-b0-normal-pneumonia-or-tuberculosis)",
        "targets: accuracy above .90, F1 above .85 and AUROC above .90 for each of three classes",
        "tb3",
        "tb3-best",
    ),
    System(
        "[ResNet-18, children's pneumonia](#resnet-18-pneumonia-in-children)",
        "official 624 films: AUROC .953, sensitivity .995 at specificity .526, accuracy .819, F1 .873",
        "kermany",
        "kermany-best",
    ),
)


def in_words(metrics: Metrics) -> str:
    """The headline scores of an evaluation, with intervals and the films they are of."""
    films = f"{metrics.n:,} films of {metrics.n_patients:,} patients"
    if metrics.kind == Kind.MULTILABEL:
        return f"mean AUROC {SHORT.estimate(metrics.macro.auroc)}; {films}"
    accuracy = f"accuracy {SHORT.estimate(metrics.rate('accuracy'))}"
    if len(metrics.findings) > 2:
        scores = ", ".join(f"{name} {SHORT.estimate(one.rate('f1'))}" for name, one in metrics.findings.items())
        return f"{accuracy}, mean AUROC {SHORT.estimate(metrics.macro.auroc)}, F1: {scores}; {films}"
    disease = list(metrics.findings.values())[-1]
    rates = ", ".join(f"{name} {SHORT.estimate(disease.rate(name))}" for name in ("sensitivity", "specificity"))
    strict = disease.specificity_at_sensitivity
    at = f", specificity where .995 are found {SHORT.estimate(strict.specificity)}" if strict else ""
    return f"AUROC {SHORT.estimate(disease.auroc)}, {accuracy}, {rates}{at}; {films}"


def table(runs: Path, before: dict[str, list[str]]) -> str:
    """The table, with the cells of ``before`` (title -> cells) where ``runs`` has no scores."""
    rows: list[tuple[str, ...]] = [HEADER]
    for system in SYSTEMS:
        kept = before.get(system.title, ["not yet run"] * 2)
        cells = [
            in_words(read_metrics(runs / name / METRICS)) if (runs / name / METRICS).is_file() else cell
            for name, cell in zip((system.recipe, system.best), kept[-2:], strict=True)
        ]
        rows.append((system.title, system.claims, *cells))
    return table_text(rows)


def cells_of(section: str) -> dict[str, list[str]]:
    """The rows of a Markdown table by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {first: rest for first, *rest in rows[2:]}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path, help="the folder with a folder of scores for each cell")
    runs = parser.parse_args().runs
    try:
        text = table(runs, cells_of(read_section(DOCUMENT, "seeds")))
    except CxrError as error:
        print(f"seeds: {error}", file=sys.stderr)
        return 2
    print(text)
    write_section(DOCUMENT, "seeds", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
