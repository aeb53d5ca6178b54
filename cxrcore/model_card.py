"""The bundle's README.md: what the model is, what it was measured to do, and what it cannot do, from its own files."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from cxrcore.bundle import BundleConfig, EnsembleConfig, member_folders, read_config, read_metrics
from cxrcore.datasets.public_copies import COPIES
from cxrcore.metrics.calibration import PlattScaling

_SYNTHETIC = """
**It has only ever seen drawings.** Its films are synthetic, drawn by a program from seeds; nothing it says about a
person's film means anything.
"""
_GEOMETRY = {"squash": "its aspect lost", "letterbox": "its aspect kept"}
_MODEL_INDEX = {
    "auroc": ("roc_auc", "AUROC"),
    "sensitivity": ("recall", "Sensitivity"),
    "specificity": ("specificity", "Specificity"),
}
_METRICS = ("auroc", "sensitivity", "specificity", "ppv", "npv", "f1", "accuracy", "brier", "ece")


def write_model_card(folder: Path, config: BundleConfig) -> None:
    """Write ``folder/README.md`` from the config and evaluation/*/metrics.json; its front matter has a model-index."""
    text = with_front_matter(_body(config, _held_out_scores(folder)), front_matter(config, folder))
    (folder / "README.md").write_text(text, "utf-8")


def front_matter(config: BundleConfig, folder: Path) -> str:
    """The card's YAML: licence, library, tags, the data where the Hub has it, every held-out score with interval."""
    facts = config.provenance
    return _yaml(
        facts.get("license", "apache-2.0"), config.name, [facts.get("dataset", "")], _held_out_scores(folder), ()
    )


def ensemble_front_matter(config: EnsembleConfig, folder: Path) -> str:
    """As ``front_matter``, of several bundles in one; scores are of the whole, where it was scored as one."""
    facts = [read_config(member).provenance for member in member_folders(folder, config)]
    licenses = {about.get("license", "apache-2.0") for about in facts}
    datasets = [about.get("dataset", "") for about in facts]
    license = licenses.pop() if len(licenses) == 1 else "other"
    return _yaml(license, config.name, datasets, _held_out_scores(folder), ("ensemble",))


def with_front_matter(text: str, front: str) -> str:
    """A card's text with this front matter, whether it had another, or none."""
    body = re.sub(r"\A---\n.*?^---\n", "", text, count=1, flags=re.DOTALL | re.MULTILINE)
    return f"---\n{front}\n---\n\n{body.lstrip()}"


def _held_out_scores(folder: Path) -> list[dict]:
    return [metrics for metrics in read_metrics(folder) if metrics["split"] == "test"]


def _yaml(license: str, name: str, datasets: Sequence[str], scored: Sequence[dict], tags: Sequence[str]) -> str:
    results = [result for metrics in scored for result in _results(metrics)]
    data = ModelCardData(
        license=license,
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["chest-x-ray", "medical-imaging", "cxrcore", "timm", *tags],
        datasets=sorted({COPIES[dataset].repo for dataset in datasets if dataset in COPIES}) or None,
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=name,
        eval_results=results,
    )
    return str(data.to_yaml())


def _results(metrics: dict) -> list[EvalResult]:
    """One result a finding and measure; its interval and counts stand in its arguments."""
    common = {
        "task_type": "image-classification",
        "dataset_name": f"{metrics['dataset']}, {_held_out(metrics)}",
        "dataset_type": COPIES[metrics["dataset"]].repo if metrics["dataset"] in COPIES else metrics["dataset"],
        "dataset_split": metrics["split"],
        "dataset_args": {"films": metrics["n"], "patients": metrics["n_patients"]},
    }
    results = []
    for finding, scores in metrics["findings"].items():
        for measure, (kind, title) in _MODEL_INDEX.items():
            estimate = scores.get(measure)
            if not isinstance(estimate, dict):
                low, high = (scores.get("intervals") or {}).get(measure, (None, None))
                estimate = {"value": estimate, "low": low, "high": high}
            if estimate["value"] is None:
                continue
            given = {"with": scores["n_pos"], "without": scores["n_neg"]}
            if estimate["low"] is not None:
                given |= {"low": round(estimate["low"], 4), "high": round(estimate["high"], 4), "confidence": 0.95}
            results.append(
                EvalResult(
                    metric_type=kind,
                    metric_name=f"{title} {finding}",
                    metric_value=round(estimate["value"], 4),
                    metric_args=given,
                    **common,
                )
            )
    return results


def _held_out(metrics: dict) -> str:
    """Who the films of a score are, in three words."""
    if metrics["dataset"] == "phantom":
        return "held-out drawn films"
    return "official test list" if metrics.get("split_origin") == "official" else "held-out patients"


def _body(config: BundleConfig, evaluations: list[dict]) -> str:
    facts, source = config.provenance, config.provenance.get("source", {})
    findings = "\n".join(f"- **{f.name}**: {f.description}" for f in config.labels.findings)
    films, patients = facts.get("films", {}), facts.get("patients", {})
    counts = ", ".join(f"{name} {films[name]} films of {patients[name]} patients" for name in films)
    start = facts.get("initial_weights", "unknown")
    scores = "\n\n".join(_scores(metrics) for metrics in evaluations) or "Not scored yet."
    return f"""# {config.name}

**For research and teaching only. Not a medical device; never for diagnosis.**
{_SYNTHETIC if facts.get("synthetic") else ""}
A {config.architecture} that reads a chest film at {config.preprocessing.height} x {config.preprocessing.width} pixels,
{_GEOMETRY[config.preprocessing.geometry]}, and gives a calibrated probability for:

{findings}

## Intended use

Teaching how such classifiers work and fail; a baseline for research. Not for patients, in any setting.

## Data

{_filled(f"{_source(source)}: {source.get('who', 'patients of whom nothing is known')}. Split by patient: {counts}.")}

{_filled(f"Made by the recipe `{facts.get('recipe', '?')}`. Weights at the start: {start}.")}

## Measured on held-out patients

{scores}

Intervals are 95 %. The operating point and the calibration were chosen on validation patients, never on these.

## Limits

{_limits(config)}

## Open it

```python
import cxrcore

model = cxrcore.load("{config.name}")
print(model.predict(cxrcore.read_radiograph("film.png")).probabilities)
```

Plain timm opens the folder too: `timm.create_model("local-dir:{config.name}", pretrained=True)`; the film must then go
through this bundle's preprocessing first (`model.tensor(film)`).
"""


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _source(source: dict) -> str:
    """Title, licence and address of the data, as far as there are any."""
    title, more = source.get("title", "Films of unknown origin"), [source.get("license", "")]
    if source.get("url"):
        more.append(f"<{source['url']}>")
    return f"{title} ({', '.join(part for part in more if part)})" if any(more) else title


def _limits(config: BundleConfig) -> str:
    facts = config.provenance
    who = facts.get("source", {}).get("who", "only its own data")
    seen = (
        "It has seen drawings and no person; its scores are on drawings too, and say nothing about people."
        if facts.get("synthetic")
        else f"It has seen {who}. Other ages, hospitals and devices are outside what it knows; scores will be "
        "lower, and its probabilities are calibrated to the share of disease in its own data."
    )
    limits = [
        seen,
        "It knows only the findings above. Everything else on a film goes unmentioned.",
        "A heatmap shows what moved the network's answer. It is not an outline of disease.",
    ]
    if facts.get("note"):
        limits.insert(0, facts["note"])
    if facts.get("untrained"):
        names = ", ".join(facts["untrained"])
        limits.insert(0, f"Its training films were all alike in {names}: its numbers for that mean nothing.")
    calibration = config.calibration
    if isinstance(calibration, PlattScaling) and calibration.why:
        names = ", ".join(config.labels.names[column] for column in calibration.why)
        limits.append(
            f"Too few validation films to calibrate {names}: those probabilities are as the network gives them."
        )
    if config.test_time_augmentation == "flip":
        limits.append("It looks at every film twice, as it is and mirrored, and takes about twice the time.")
    return "\n".join(f"- {textwrap.fill(limit, 118, subsequent_indent='  ')}" for limit in limits)


def _scores(metrics: dict) -> str:
    origins = {"official": "the source's official list", "own": "patients held out by this project, no official list"}
    origin = origins.get(metrics.get("split_origin", ""), "of unknown origin")
    films = f"{metrics['n']} films of {metrics['n_patients']} patients"
    header = f"{metrics['dataset']}, split `{metrics['split']}` ({origin}): {films}"
    lines = [
        header,
        "",
        "| finding | with / without | " + " | ".join(_METRICS) + " |",
        "|---" * (len(_METRICS) + 2) + "|",
    ]
    for finding, scores in metrics["findings"].items():
        cells = [_cell(scores, name) for name in _METRICS]
        lines.append(f"| {finding} | {scores['n_pos']} / {scores['n_neg']} | " + " | ".join(cells) + " |")
    lines.append("")
    for finding, scores in metrics["findings"].items():
        strict = scores["specificity_at_sensitivity"]
        error, chance = (_number({"value": scores[key], "low": None, "high": None}) for key in ("ece", "ece_expected"))
        lines.append(
            f"- {finding}: specificity {_number(strict)} where {strict['sensitivity']:.1%} of its films are found;"
        )
        lines.append(f"  calibration error {error}, of which chance alone gives {chance}.")
    return "\n".join(lines)


def _cell(scores: dict, name: str) -> str:
    found = scores.get(name)
    if isinstance(found, dict):
        return _number(found)
    low, high = scores.get("intervals", {}).get(name, (None, None))
    return _number({"value": found, "low": low, "high": high})


def _number(estimate: dict) -> str:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None else f"{value:.3f} ({low:.3f}-{high:.3f})"
