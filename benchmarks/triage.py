"""Do the three answers keep their promise on patients who did not choose the limits?

    python -m benchmarks.triage [--write]

For every embedded model, from the scores of its test films that ship with it. First with the bundle's own limits; then
RESPLITS times with limits from a random half of the test patients, measured on the other half: the share of times that
the wrong answers stay within the risk there. Were the other half endless, it would be the confidence or more; of a
half as small as here the expected share is that of the beta-binomial distribution, which stands beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from scipy.stats import betabinom

from benchmarks.measuring import ROOT, table_text, write_section
from cxrcore.bundle.folder import embedded_models, read_config
from cxrcore.metrics.triage import CONFIDENCE, RISK, fit_triage, wrong_patients
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from cxrcore.text import NumberFormat

DOCUMENT, SECTION = ROOT / "docs" / "trust.md", "triage"
RESPLITS = 200
PERCENT = NumberFormat(digits=1, factor=100, unit=" %")
HEADER = (
    "model", "finding", "patients with it", "ruled in", "ruled out", "unsure", "with it, ruled out",
    "without it, ruled in", "kept of 200, missed (expected)", "kept of 200, false alarms (expected)",
)  # fmt: skip


def rows(task: str) -> Iterator[list[str]]:
    """A row for each finding of an embedded model that has limits."""
    folder = find_bundle(task)
    config = read_config(folder)
    table = next(folder.glob("evaluation/*-test/predictions.parquet"), None)
    if config.triage is None or table is None:
        return
    films, limits = Predictions.read(table), config.triage.limits()
    for column, name in enumerate(config.labels):
        targets, shares = films.targets[:, column], films.probabilities[:, column]
        measured = limits.measure(name, targets, shares, films.patient_ids)
        answers = [f"{100 * (share or 0):.0f} %" for share in (measured.ruled_in, measured.ruled_out, measured.unsure)]
        wrong = [
            "never said" if limit is None else PERCENT.estimate(estimate)
            for limit, estimate in ((limits.out[name], measured.missed), (limits.into[name], measured.false_alarms))
        ]
        kept = resplit(targets, shares, films.patient_ids)
        yield [task, name, str(config.triage.present[name].patients), *answers, *wrong, *kept]


def resplit(targets: np.ndarray, probabilities: np.ndarray, patients: np.ndarray) -> list[str]:
    """How often the promise was kept for each of the wrong answers, with the expected share."""
    rng, names = np.random.default_rng(0), np.unique(patients)
    kept: dict[str, list[bool]] = {"out": [], "into": []}
    expected: dict[str, list[float]] = {"out": [], "into": []}
    for _ in range(RESPLITS):
        first = np.isin(patients, rng.permutation(names)[: len(names) // 2])
        triage = fit_triage(["it"], targets[first, None], probabilities[first, None], patients[first])
        limits = triage.limits()
        measured = limits.measure("it", targets[~first], probabilities[~first], patients[~first])
        for key, side, limit, wrong in (
            ("out", triage.present["it"], limits.out["it"], measured.missed),
            ("into", triage.absent["it"], limits.into["it"], measured.false_alarms),
        ):
            if limit is None or wrong.value is None:
                continue
            total, rank = wrong.n_pos + wrong.n_neg, wrong_patients(side.patients, RISK, CONFIDENCE) + 1
            kept[key].append(wrong.value <= RISK)
            expected[key].append(betabinom.cdf(np.floor(RISK * total), total, rank, side.patients + 1 - rank))
    return [
        f"{np.mean(kept[key]):.2f} ({np.mean(expected[key]):.2f})" if kept[key] else "too few patients" for key in kept
    ]


def main() -> None:
    """Print the table, or write it into the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCUMENT.name}")
    write = parser.parse_args().write
    text = table_text([HEADER, *(row for name in embedded_models() for row in rows(name))])
    print(text)
    if write:
        write_section(DOCUMENT, SECTION, text)


if __name__ == "__main__":
    main()
