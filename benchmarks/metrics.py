"""How long do scores with intervals take? Ours beside scikit-learn in a loop, in one run.

    python -m benchmarks.metrics                    # about two minutes on one core
    python -m benchmarks.metrics --films 112120     # one synthetic table of any size

Synthetic scores in the shape of the NIH test list (22,433 films of 6,187 patients, 14 findings at their prevalence),
the same for all of NIH (112,120 films), to see that cost is proportional, and, where CXR_DATA_DIR names a folder with
them, a published model's probabilities on 11,928 real test films. Both bootstraps draw patients. The usual one copies
each drawn patient's films and calls ``roc_auc_score``; it is timed on a few resamples and scaled to 1,000, which the
table says. The closed form is listed apart: it replaces a bootstrap, and is no faster one. Everything runs on one
thread, in turn, so the ratios hold on a noisy machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist, median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.measuring import ROOT, middle, print_header, print_row, timed
from cxrcore.evaluation.subgroups import subgroup_gaps
from cxrcore.evaluation.summary import summarise
from cxrcore.findings import NIH14
from cxrcore.metrics.bootstrap import draws_of_patients
from cxrcore.metrics.comparison import compare_findings
from cxrcore.metrics.discrimination import auroc
from cxrcore.metrics.operating_points import fit_operating_points
from cxrcore.metrics.rates import rates_at_threshold
from cxrcore.predictions.record import Predictions
from tests.bootstrap import bootstrap_auroc

FILMS, ALL_FILMS = 22_433, 112_120  # of NIH's test list as often used, and of all NIH
RESAMPLES = 1000
MEASURED = 3  # resamples of scikit-learn's loop
PREVALENCE = (0.128, 0.042, 0.182, 0.239, 0.068, 0.063, 0.022, 0.104, 0.071, 0.036, 0.043, 0.017, 0.045, 0.003)


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Median wall seconds."""
    return middle(timed(work) for _ in range(repeats)).wall


def synthetic(n: int = FILMS) -> Predictions:
    """``n`` films whose labels and scores resemble each other within a patient."""
    rng = np.random.default_rng(0)
    patients = max(round(n * 6187 / 22433), 1)
    groups = np.concatenate([np.arange(patients), rng.integers(0, patients, n - patients)])
    own = rng.normal(size=(patients, 14))[groups]
    cuts = np.array([NormalDist().inv_cdf(1 - share) for share in PREVALENCE])
    targets = ((own + rng.normal(size=own.shape)) / 2**0.5 > cuts).astype(np.float32)
    scores = 1 / (1 + np.exp(3 - 1.2 * targets - 0.5 * own - rng.normal(size=own.shape)))
    people = {"sex": rng.choice(["F", "M"], patients)[groups], "age_years": rng.uniform(1, 95, patients)[groups]}
    people["view"] = rng.choice(["AP", "PA"], n)
    images = np.array([f"{k}.png" for k in range(n)])
    return Predictions(images, groups, np.full(n, "test"), NIH14, targets, scores, metadata=people)


def published() -> Predictions | None:
    """The real table, if there is one."""
    folder = Path(os.environ.get("CXR_DATA_DIR", "")) / "nih"
    if not (os.environ.get("CXR_DATA_DIR") and (folder / "chexnet_predictions.csv.gz").is_file()):
        return None
    import pandas as pd

    from cxrcore.datasets.people import ages_in_years, sexes

    table = pd.read_csv(folder / "chexnet_predictions.csv.gz").merge(
        pd.read_csv(folder / "Data_Entry_2017_v2020.csv.gz"), on="Image Index"
    )
    named = table["Finding Labels"].str.split("|")
    targets = np.stack([named.map(lambda labels, f=f: f in labels).to_numpy(float) for f in NIH14], axis=1)
    people = {
        "sex": sexes(table["Patient Gender"]),
        "age_years": ages_in_years(table["Patient Age"]),
        "view": table["View Position"].to_numpy(),
    }
    probabilities = table[[f"prob_{name}" for name in NIH14]].to_numpy()
    split = np.full(len(table), "test")
    return Predictions(table["Image Index"], table["Patient ID"], split, NIH14, targets, probabilities, metadata=people)


def usual_bootstrap(predictions: Predictions, resamples: int) -> np.ndarray:
    """scikit-learn on copies of the drawn patients' films, finding by finding: (resamples, C)."""
    rng = np.random.default_rng(0)
    order = np.argsort(predictions.patient_ids, kind="stable")
    rows = np.split(
        order, np.flatnonzero(np.diff(np.unique(predictions.patient_ids, return_inverse=True)[1][order])) + 1
    )
    values = np.empty((resamples, len(predictions.labels)))
    for k in range(resamples):
        drawn = np.concatenate([rows[patient] for patient in rng.integers(0, len(rows), len(rows))])
        for column in range(values.shape[1]):
            values[k, column] = roc_auc_score(
                predictions.targets[drawn, column], predictions.probabilities[drawn, column]
            )
    return values


def peak_of_cli(predictions: Predictions) -> tuple[float, float]:
    """Wall seconds, start included, and peak megabytes of ``cxr metrics`` on the table as a CSV, every number made.

    The peak is Linux's own (VmHWM): getrusage's also counts what the parent held when it started the child.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        frame = predictions.to_frame().drop(columns="split")
        frame.rename(columns=lambda name: name.replace(":", "_")).to_csv(path, index=False)
        out = str(Path(folder) / "metrics.json")
        arguments = ["metrics", str(path), "--tune-fraction", "0.2", "--out", out]
        script = (
            "import re, sys; from train.cli import main; code = main(sys.argv[1:]);"
            "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]); sys.exit(code)"
        )
        printed = []

        def run() -> None:
            command = [sys.executable, "-c", script, *arguments]
            printed.append(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)

        return timed(run).wall, int(printed[0].split()[-1]) / 1024


def measure(name: str, predictions: Predictions) -> None:
    """Print the rows of one table."""
    targets, scores = predictions.targets, predictions.probabilities
    patients = np.unique(predictions.patient_ids, return_inverse=True)[1]
    columns = range(len(predictions.labels))

    def ours() -> list[np.ndarray]:
        draws_of_patients.cache_clear()  # the first finding pays for the draws
        return [bootstrap_auroc(targets[:, k], scores[:, k], patients, RESAMPLES) for k in columns]

    def closed_form() -> list:
        return [auroc(targets[:, k], scores[:, k], patients) for k in columns]

    ours()
    turns = [(seconds(lambda: usual_bootstrap(predictions, 1)), seconds(ours)) for _ in range(MEASURED)]
    usual, fast = median(one for one, _ in turns) * RESAMPLES, median(one for _, one in turns)
    closed = seconds(closed_form, 5)
    points = fit_operating_points(NIH14, targets, scores)
    assert points is not None
    other = scores + np.random.default_rng(0).normal(0, 0.01, scores.shape)
    again = (usual_bootstrap(predictions, MEASURED).mean(axis=0), [one.value for one in closed_form()])
    print(f"\n{name}: {len(predictions):,} films of {predictions.n_patients:,} patients, 14 findings, one core")
    print_header("AUROC with interval, all findings", "seconds", "against the loop")
    print_row(f"scikit-learn, {RESAMPLES:,} resamples of patients ({MEASURED} timed, scaled)", f"{usual:.1f}", "1")
    print_row(f"ours, {RESAMPLES:,} resamples of patients", f"{fast:.2f}", f"{usual / fast:.0f} times faster")
    print_row("ours, closed form by patient (no bootstrap)", f"{closed:.3f}", "apart")
    print_row("also", "seconds", "")
    threshold = seconds(lambda: rates_at_threshold(targets[:, 7], scores[:, 7], 0.3, groups=patients), 5)
    print_row("one threshold's rates, resampled by patient", f"{threshold:.3f}", "")
    compared = seconds(lambda: compare_findings(targets, scores, other, NIH14.names, patients))
    print_row("paired comparison of two models, all findings", f"{compared:.2f}", "")
    summed = seconds(lambda: summarise(predictions, points, dataset="nih", split="test", model="m"))
    print_row("metrics.json", f"{summed:.2f}", "")
    gaps = seconds(lambda: subgroup_gaps(predictions, points))
    print_row("subgroups and intersections, all findings", f"{gaps:.2f}", "")
    wall, megabytes = peak_of_cli(predictions)
    print_row(
        "cxr metrics on it as a CSV, a fifth of the patients tuned on", f"{wall:.1f}", f"{megabytes:.0f} MB at most"
    )
    print(f"(areas of the two differ by {np.abs(again[0] - again[1]).max():.3f} at most, {MEASURED} resamples' noise)")


def main() -> None:
    """Print a block of rows a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--films", type=int, help="measure one synthetic table of this many films, and nothing else")
    if (films := parser.parse_args().films) is not None:
        if films < 1000:
            parser.error("--films: at least 1000, or a finding may have no film")
        measure("Synthetic", synthetic(films))
        return
    measure("Synthetic", synthetic())
    measure("Synthetic, all of NIH", synthetic(ALL_FILMS))
    real = published()
    if real is None:
        print("\nCXR_DATA_DIR is unset or has no nih/chexnet_predictions.csv.gz: no real table")
    else:
        measure("A published model on NIH", real)


if __name__ == "__main__":
    main()
