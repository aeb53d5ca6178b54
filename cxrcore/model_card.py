"""The bundle's README.md: what the model is, what it was measured to do, and what it cannot do, from its own files."""

from __future__ import annotations

import textwrap
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from cxrcore.bundle import BundleConfig, read_metrics
from cxrcore.metrics.calibration import PlattScaling

_SYNTHETIC = """
**It has only ever seen drawings.** Its films are synthetic, drawn by a program from seeds; nothing it says about a
person's film means anything.
"""
_GEOMETRY = {"squash": "its aspect lost", "letterbox": "its aspect kept"}
_METRICS = ("auroc", "sensitivity", "specificity", "ppv", "npv", "f1", "accuracy", "brier", "ece")


def write_model_card(folder: Path, config: BundleConfig) -> None:
    """Write ``folder/README.md`` from the config and evaluation/*/metrics.json; its front matter has a model-index."""
    evaluations = [metrics for metrics in read_metrics(folder) if metrics["split"] == "test"]
    facts = config.provenance
    data = ModelCardData(
        license=facts.get("license", "apache-2.0"),
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["chest-x-ray", "medical-imaging", "cxrcore", "timm"],
        datasets=[],
        model_name=config.name,
        eval_results=[result for metrics in evaluations for result in _results(metrics)],
    )
    (folder / "README.md").write_text(f"---\n{data.to_yaml()}\n---\n\n{_body(config, evaluations)}", "utf-8")


def _results(metrics: dict) -> list[EvalResult]:
    common = {
        "task_type": "image-classification",
        "dataset_name": f"{metrics['dataset']}, {_held_out(metrics)}",
        "dataset_type": metrics["dataset"],
        "dataset_split": metrics["split"],
    }
    results = []
    for finding, scores in metrics["findings"].items():
        if (area := scores["auroc"]["value"]) is not None:
            value = round(area, 4)
            results.append(
                EvalResult(metric_type="roc_auc", metric_name=f"AUROC {finding}", metric_value=value, **common)
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
