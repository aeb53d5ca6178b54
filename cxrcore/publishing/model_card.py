"""The bundle's README.md: what the model is, what it was measured to do, and what it cannot do, from its own files."""

from __future__ import annotations

import html
import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from huggingface_hub import EvalResult, ModelCardData
from PIL import Image

from cxrcore.bundle.calibrators import Calibration, PlattScaling, Temperature
from cxrcore.bundle.config import BundleConfig, EnsembleConfig
from cxrcore.bundle.folder import member_folders, read_config, read_metrics
from cxrcore.bundle.weights import WEIGHTS
from cxrcore.datasets.public_copies import COPIES
from cxrcore.findings import Kind
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.publishing.card_figures import DENSITY, ROC, draw_pictures
from cxrcore.reporting.html_report import RULES

_SYNTHETIC = """
**It has only ever seen drawings.** Its films are synthetic, drawn by a program from seeds; nothing it says about a
person's film means anything.
"""
_GEOMETRY = {"squash": "its aspect lost", "letterbox": "its aspect kept", "crop": "its middle square alone"}
_MODEL_INDEX = {
    "auroc": ("roc_auc", "AUROC"),
    "sensitivity": ("recall", "Sensitivity"),
    "specificity": ("specificity", "Specificity"),
}
CARD = "README.md"
_ORIGINS = {"official": "the source's official list", "own": "patients held out by this project, no official list"}
_HOW_TO_READ = """First: each finding's ROC curve. The band is the 95 % interval of its sensitivity (Wilson's, counting
patients where films repeat), the dot its operating point, the dashes a coin. Second: how often a finding was there
where the model gave it such a probability, with 95 % intervals; a dot's area grows with its films; honest
probabilities lie on the dashes. The axes of a rare finding end early."""
_OPENING = "## Open it"
_SHOWN = ("<!-- pictures, drawn from metrics.json and curves.json -->", "<!-- end of pictures -->")
_METRICS = ("auroc", "sensitivity", "specificity", "ppv", "npv", "f1", "accuracy", "brier", "ece")


def write_model_card(folder: Path, config: BundleConfig, pictures: bool = True) -> None:
    """Write ``folder/README.md`` from the config and evaluation/*/metrics.json; its front matter has a model-index.

    ``pictures``: also draw ROC and reliability of every held-out evaluation, and show them in the card.
    """
    text = with_front_matter(_body(config, _held_out_scores(folder)), front_matter(config, folder))
    (folder / CARD).write_text(text, "utf-8")
    if pictures:
        illustrate(folder)


def illustrate(folder: Path) -> None:
    """Draw the pictures of a bundle's held-out scores, and show them in its card where it has one."""
    drawn, card = draw_pictures(folder), folder / CARD
    if card.is_file():
        card.write_text(_with_pictures(card.read_text("utf-8"), folder, drawn), "utf-8")


def with_addresses(text: str, name: str, repo: str, several: bool) -> str:
    """A card's text that says how to load the model from the Hub, whatever it said before; ``several``: an ensemble."""
    opening = f"{_OPENING}\n\n{_how_to_open(name, repo, several)}"
    start = text.find(f"\n{_OPENING}\n") + 1
    if not start:
        return f"{text.rstrip()}\n\n{opening}"
    end = text.find("\n## ", start) + 1
    return text[:start] + opening + (f"\n{text[end:]}" if end else "")


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
    split = f" Split by patient: {counts}." if counts else " How its films were split is not known here."
    made = (
        f"Made by the recipe `{facts['recipe']}`."
        if "recipe" in facts
        else "Not made by one of this project's recipes."
    )
    start = facts.get("initial_weights", "unknown")
    number = "a calibrated probability" if _calibrated(config.calibration) else "a probability, not calibrated,"
    scores = "\n\n".join(_scores(metrics) for metrics in evaluations) or "Not scored yet."
    return f"""# {config.name}

**For research and teaching only. Not a medical device; never for diagnosis.**
{_SYNTHETIC if facts.get("synthetic") else ""}
A {config.architecture} that reads a chest film at {config.preprocessing.height} x {config.preprocessing.width} pixels,
{_GEOMETRY[config.preprocessing.geometry]}, and gives {number} for:

{findings}

## Intended use

Teaching how such classifiers work and fail; a baseline for research. Not for patients, in any setting.

## Data

{_filled(f"{_source(source)}: {source.get('who', 'patients of whom nothing is known')}.{split}")}

{_filled(f"{made} Weights at the start: {start}.")}
{_fingerprint(facts)}
## Thresholds and calibration

{_fitted(config)}

## Measured on held-out patients

{scores}

Intervals are 95 %.

## Limits

{_limits(config)}

{_OPENING}

{_how_to_open(config.name, None, several=False)}"""


def _how_to_open(name: str, repo: str | None, several: bool) -> str:
    """From the library, from plain timm where there is one network, and from another program."""
    reference, pinned = repo or name, ""
    if repo:
        pinned = f'# or one commit for good: cxrcore.load("{repo}@<its 40 digits>")\n'
    library = f"""```python
import cxrcore

model = cxrcore.load("{reference}")
{pinned}print(model.predict(cxrcore.read_radiograph("film.png")).probabilities)
```
"""
    timm_name, what = (f"hf-hub:{repo}", "it") if repo else (f"local-dir:{name}", "the folder")
    at = f", or `{timm_name}@<its 40 digits>`" if repo else ""
    plain = (
        f'Plain timm opens {what} too: `timm.create_model("{timm_name}", pretrained=True)`{at}. It gives logits, not '
        "calibrated, and its input must have gone through this bundle's own preprocessing (`model.tensor(film)`)."
    )
    if several:
        plain = f"Plain timm opens the members (each has its own `{WEIGHTS}`), not the whole."
    return f"""{library}
{_filled(plain)}

A running app answers other programs:

```python
from gradio_client import Client, handle_file

client = Client("user/space")  # a Space that shows this model, or the app on your machine: http://127.0.0.1:7860
client.predict(handle_file("film.png"), api_name="/analyse")
```
"""


def _fingerprint(facts: dict) -> str:
    """Which film was where, in one number that a second run can be compared by."""
    if not facts.get("split_sha256"):
        return ""
    return f"\nWhich film went to which split, as SHA-256:\n`{facts['split_sha256']}`.\n"


def _fitted(config: BundleConfig) -> str:
    """How the thresholds were chosen and the probabilities calibrated: rule, split, how many films."""
    facts, points = config.provenance, config.operating_points
    films, patients = (facts.get(what, {}).get("val") for what in ("films", "patients"))
    where = "validation patients" if films is None else f"the {films} validation films of {patients} patients"
    calibration = _calibrated(config.calibration)
    said = [f"{calibration} fitted on {where}." if calibration else "Its probabilities are as the network gives them."]
    if points is None and len(config.labels) > 2 and config.labels.kind is Kind.MULTICLASS:
        said.append("There are no thresholds: the class with the highest probability is the answer.")
    elif points is None:
        said.append("No thresholds were chosen, so it calls nothing positive.")
    else:
        rule = RULES.get(points.rule, points.rule)
        chosen = "on the same films and" if _calibrated(config.calibration) else f"on {where},"
        said.append(f"Thresholds: {rule}, {chosen} never on those it is scored on below.")
    listed = "" if points is None else f"\n\n{_thresholds(config.labels.names, points)}"
    return _filled(" ".join(said)) + listed


def _calibrated(calibration: Calibration) -> str:
    if isinstance(calibration, Temperature):
        return "" if calibration.why else f"Calibrated by one temperature, {calibration.value:.3f},"
    return (
        "Calibrated by Platt scaling, a slope and an intercept a finding,"
        if isinstance(calibration, PlattScaling)
        else ""
    )


def _thresholds(names: Sequence[str], points: OperatingPoints) -> str:
    rows = [
        f"| {name} | {points.why.get(name, '-') if np.isnan(value) else f'{value:.3f}'} |"
        for name, value in zip(names, points.thresholds, strict=True)
    ]
    return "\n".join(["| finding | threshold |", "|---|---|", *rows])


def _with_pictures(text: str, folder: Path, drawn: Sequence[str]) -> str:
    """The card with these pictures under its scores, in the place of any it had."""
    begin, end = _SHOWN
    text = re.sub(rf"{re.escape(begin)}.*?{re.escape(end)}\n*", "", text, flags=re.DOTALL)
    shown = [f'<img src="{path}" alt="{_described(folder / path)}" width="{_width(folder / path)}">' for path in drawn]
    if not shown:
        return text
    block = "\n\n".join([begin, *shown, _HOW_TO_READ, end])
    place = text.find("\n## Limits\n") + 1
    return f"{text[:place]}{block}\n\n{text[place:]}" if place else f"{text.rstrip()}\n\n{block}\n"


def _described(picture: Path) -> str:
    """In words, for whoever cannot see it."""
    metrics = json.loads(picture.with_name("metrics.json").read_text("utf-8"))
    where = f"on {metrics['dataset']}, {_held_out(metrics)}, {metrics['n']} films"
    if picture.name == ROC:
        areas = ((name, scores["auroc"]["value"]) for name, scores in metrics["findings"].items())
        told = ", ".join(f"{name} {area:.3f}" for name, area in areas if area is not None)
        return html.escape(f"ROC curves {where}; area under them: {told}")
    errors = ((name, scores.get("ece")) for name, scores in metrics["findings"].items())
    told = ", ".join(f"{name} {error:.3f}" for name, error in errors if error is not None)
    return html.escape(f"Predicted against observed frequency {where}; calibration error: {told}")


def _width(picture: Path) -> int:
    """Page pixels, at which the picture is sharp on dense screens too."""
    with Image.open(picture) as opened:
        return opened.width // DENSITY


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
        "lower"
        + (
            ", and its probabilities are calibrated to the share of disease in its own data."
            if _calibrated(config.calibration)
            else "."
        )
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
    origin = _ORIGINS.get(metrics.get("split_origin", ""), "of unknown origin")
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
