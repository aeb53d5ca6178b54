"""The model card (README.md) of a bundle, from its own files: purpose, measured performance and limits."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import EvalResult, ModelCardData
from PIL import Image

from cxrcore.bundle.calibrators import Calibration, PlattScaling, Temperature
from cxrcore.bundle.config import BundleConfig, EnsembleConfig
from cxrcore.bundle.folder import embedded_name, member_folders, read_config
from cxrcore.datasets.public_copies import COPIES
from cxrcore.errors import InvalidBundle, InvalidPredictions
from cxrcore.evaluation.audit_report import AREA, AUDIT, read_audit, summary_of_films
from cxrcore.evaluation.record import METRICS, RATES, FindingMetrics, Metrics, read_metrics
from cxrcore.evaluation.robustness import HEAD as HEAD_OF_CHANGES
from cxrcore.evaluation.robustness import ROBUSTNESS, as_rows, read_robustness
from cxrcore.evaluation.split_origins import CROSS_VALIDATED
from cxrcore.findings import Kind
from cxrcore.metrics.localisation import Localisation
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.publishing.card_figures import DENSITY, ROC, draw_figures
from cxrcore.reporting.bundle_facts import read_facts
from cxrcore.reporting.checklists import Checklist, fill_checklists
from cxrcore.reporting.html_report import RULES
from cxrcore.reporting.reliability import HEAD, reliability_rows
from cxrcore.resources import load_template
from cxrcore.storage import write_text
from cxrcore.text import NumberFormat

CARD = "README.md"
_MODEL_INDEX = {
    "auroc": ("roc_auc", "AUROC"),
    "sensitivity": ("recall", "Sensitivity"),
    "specificity": ("specificity", "Specificity"),
}
_MEASURES = ("auroc", "sensitivity", "specificity", "ppv", "npv", "f1", "accuracy", "brier", "ece")
_OPENING = "## Open it"
_FIGURES = ("<!-- pictures, drawn from metrics.json and curves.json -->", "<!-- end of pictures -->")
_AUDITS = ("<!-- audit, from audit.json -->", "<!-- end of audit -->")
_ROBUSTNESS = ("<!-- changed films, from robustness.json -->", "<!-- end of changed films -->")
_LEGEND = """First: each finding's ROC curve. The band is the 95 % interval of its sensitivity (Wilson's, counting
patients where films repeat), the dot its operating point, the dashed line guessing. Second: the observed frequency of a
finding by its predicted probability, with 95 % intervals; a dot's area grows with its films; the dashed line is perfect
calibration. The axes of a rare finding end early."""
_NUMBER = NumberFormat()


def write_model_card(folder: Path, config: BundleConfig, pictures: bool = True, embedded: bool = False) -> None:
    """Write ``folder/README.md`` from the config and the held-out scores; its front matter has a model-index.

    ``pictures``: also draw ROC and reliability of every held-out evaluation, and show them in its card. ``embedded``:
    the bundle ships with the project and opens by its task.
    """
    body = _body(config, _held_out_scores(folder), fill_checklists(read_facts(folder, config)), embedded)
    text = with_front_matter(body, front_matter(config, folder))
    (folder / CARD).write_text(text, "utf-8")
    show_checks(folder)
    if pictures:
        illustrate(folder)


def write_ensemble_card(folder: Path, config: EnsembleConfig) -> None:
    """Write the README.md of an ensemble's folder, and the figures of its members' cards."""
    for member in member_folders(folder, config):
        illustrate(member)
    members = zip(config.members, config.provenance["members"], strict=True)
    points = config.operating_points
    lists = fill_checklists(read_facts(folder, config))
    rule = points and _rule(points.rule)
    text = _render("ensemble_card.md", config=config, members=members, rule=rule, checklists=lists)
    (folder / CARD).write_text(text, "utf-8")


def show_checks(folder: Path) -> None:
    """Put audits and scores of changed films into a bundle's card, in place of earlier ones, if it has a card."""
    card = folder / CARD
    if not card.is_file():
        return
    text = card.read_text("utf-8")
    audits = [read_audit(path) for path in sorted(folder.glob(f"evaluation/*/{AUDIT}"))]
    audited = _render("audit.md", audits=audits, area=AREA.estimate, summary=summary_of_films) if audits else ""
    shaken = _shaken(folder)
    changed = _render("robustness.md", evaluations=shaken, head=HEAD_OF_CHANGES, rows=as_rows) if shaken else ""
    renewed = _with_block(_with_block(text, _AUDITS, audited), _ROBUSTNESS, changed)
    if renewed != text:
        write_text(card, renewed)


def _shaken(folder: Path) -> list[Mapping[str, Any]]:
    """Scores of changed films of a bundle's evaluations."""
    paths = sorted(folder.glob(f"evaluation/*/{ROBUSTNESS}"))
    found = [read_robustness(path.parent, read_metrics(path.with_name(METRICS)).model) for path in paths]
    return [data for data in found if data]


def _with_block(text: str, marks: tuple[str, str], content: str) -> str:
    """A card's text with a block between two marks, in place of an earlier one; without content, without the block."""
    begin, end = marks
    without = re.sub(rf"{re.escape(begin)}.*?{re.escape(end)}\n*", "", text, flags=re.DOTALL)
    if not content:
        return without
    block = f"{begin}\n\n{content}\n{end}\n\n"
    at = without.find(f"\n{_OPENING}\n") + 1
    return without[:at] + block + without[at:] if at else f"{without.rstrip()}\n\n{block.rstrip()}\n"


def illustrate(folder: Path) -> None:
    """Draw the figures of a bundle's held-out scores, and show them in its card if it has one."""
    figures, card = draw_figures(folder), folder / CARD
    if card.is_file():
        card.write_text(_with_figures(card.read_text("utf-8"), folder, figures), "utf-8")


def with_addresses(text: str, name: str, repo: str, ensemble: bool) -> str:
    """Replace the section of a card's text on how to load the model, or append it, for ``repo`` on the Hub."""
    opening = f"{_OPENING}\n\n{_render('how_to_open.md', name=name, place=name, repo=repo, ensemble=ensemble)}"
    start = text.find(f"\n{_OPENING}\n") + 1
    if not start:
        return f"{text.rstrip()}\n\n{opening}"
    end = text.find("\n## ", start) + 1
    return text[:start] + opening + (f"\n{text[end:]}" if end else "")


def front_matter(config: BundleConfig, folder: Path) -> str:
    """YAML of the card: licence, library, tags, the data set on the Hub, every held-out score with its interval."""
    facts = config.provenance
    return _yaml(
        facts.get("license", "apache-2.0"), config.name, [facts.get("dataset", "")], _held_out_scores(folder), ()
    )


def ensemble_front_matter(config: EnsembleConfig, folder: Path) -> str:
    """As ``front_matter``, for an ensemble; its scores are of the ensemble, not of its members."""
    facts = [read_config(member).provenance for member in member_folders(folder, config)]
    licenses = {about.get("license", "apache-2.0") for about in facts}
    datasets = [about.get("dataset", "") for about in facts]
    license = licenses.pop() if len(licenses) == 1 else "other"
    return _yaml(license, config.name, datasets, _held_out_scores(folder), ("ensemble",))


def with_front_matter(text: str, front: str) -> str:
    """Replace the front matter of a card's text, or add it."""
    body = re.sub(r"\A---\n.*?^---\n", "", text, count=1, flags=re.DOTALL | re.MULTILINE)
    return f"---\n{front}\n---\n\n{body.lstrip()}"


def _render(template: str, /, **values: Any) -> str:
    return load_template("cxrcore.publishing", template, fill=_fill, item=_item, cell=_table_cell).render(**values)


def _fill(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _table_cell(text: str) -> str:
    """A text in a cell of a Markdown table, with nothing that would end the cell or be read as HTML."""
    return html.escape(text, quote=False).replace("|", "\\|")


def _item(text: str) -> str:
    return textwrap.fill(text, 118, subsequent_indent="  ")


def _held_out_scores(folder: Path) -> list[Metrics]:
    try:
        every = [read_metrics(path) for path in sorted(folder.glob(f"evaluation/*/{METRICS}"))]
    except InvalidPredictions as error:
        raise InvalidBundle(f"the scores of model {folder.name!r} cannot be read: {error}") from None
    return [metrics for metrics in every if metrics.split == "test" or metrics.origin == CROSS_VALIDATED]


def _yaml(license: str, name: str, datasets: Sequence[str], scored: Sequence[Metrics], tags: Sequence[str]) -> str:
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


def _results(metrics: Metrics) -> list[EvalResult]:
    """One result per finding and measure; its interval and counts are the arguments."""
    source = COPIES[metrics.dataset].repo if metrics.dataset in COPIES else metrics.dataset
    results = []
    for finding, scores in metrics.findings.items():
        for measure, (kind, title) in _MODEL_INDEX.items():
            value, low, high = _measured(scores, measure)
            if value is None:
                continue
            arguments: dict[str, Any] = {"with": scores.n_pos, "without": scores.n_neg}
            if low is not None and high is not None:
                arguments |= {"low": round(low, 4), "high": round(high, 4), "confidence": 0.95}
            results.append(
                EvalResult(
                    task_type="image-classification",
                    dataset_name=f"{metrics.dataset}, {_patients(metrics)}",
                    dataset_type=source,
                    dataset_split=metrics.split,
                    dataset_args={"films": metrics.n, "patients": metrics.n_patients},
                    metric_type=kind,
                    metric_name=f"{title} {finding}",
                    metric_value=round(value, 4),
                    metric_args=arguments,
                )
            )
    return results


def _measured(scores: FindingMetrics, measure: str) -> tuple[float | None, float | None, float | None]:
    """Value, low and high of a measure; without an interval the ends are None."""
    if measure == "auroc":
        return scores.auroc.value, scores.auroc.low, scores.auroc.high
    if measure in RATES:
        return scores.rate(measure)[:3]
    return getattr(scores, measure), None, None


def _patients(metrics: Metrics) -> str:
    """Who was scored, in three words."""
    return "held-out drawn films" if metrics.dataset == "phantom" else metrics.origin.patients


def _body(config: BundleConfig, evaluations: Sequence[Metrics], checklists: Sequence[Checklist], embedded: bool) -> str:
    points, labels = config.operating_points, config.labels
    return _render(
        "model_card.md",
        config=config,
        facts=config.provenance,
        calibrated=_calibrated(config.calibration),
        points=points,
        rule=points and _rule(points.rule),
        winner_takes_all=len(labels) > 2 and labels.kind is Kind.MULTICLASS,
        thresholds=_thresholds(labels.names, points),
        evaluations=evaluations,
        measures=_MEASURES,
        cells=lambda scores: [_cell(scores, measure) for measure in _MEASURES],
        located=_located,
        estimate=_NUMBER.estimate,
        number=_NUMBER.number,
        reliability_head=HEAD,
        reliability=reliability_rows,
        limits=_limits(config),
        checklists=checklists,
        name=embedded_name(config.name) if embedded else config.name,
        place=f"assets/models/{config.name}" if embedded else config.name,
        repo=None,
        ensemble=False,
    )


def _cell(scores: FindingMetrics, measure: str) -> str:
    return _NUMBER.estimate(dict(zip(("value", "low", "high"), _measured(scores, measure), strict=True)))


def _located(metrics: Metrics) -> list[tuple[str, Localisation]]:
    """Findings with a box and what their maps scored, all boxes last."""
    rows = [*((name, scores.localisation) for name, scores in metrics.findings.items()), ("all", metrics.localisation)]
    return [(name, one) for name, one in rows if one and one.n and one.control]


def _rule(rule: str) -> str:
    """An operating point's rule in words; ``cost=5`` and rules of others as they are."""
    name, _, value = rule.partition("=")
    other = {"specificity": "sensitivity", "sensitivity": "specificity"}.get(name)
    return f"the greatest {other} with a {name} of at least {value}" if other and value else RULES.get(rule, rule)


def _calibrated(calibration: Calibration) -> str:
    """Beginning of the sentence on calibration; empty where the probabilities are not calibrated."""
    if isinstance(calibration, Temperature):
        offsets = " and an offset a class" if calibration.offsets else ""
        return "" if calibration.why else f"Calibrated by one temperature, {calibration.value:.3f},{offsets}"
    platt = isinstance(calibration, PlattScaling)
    return "Calibrated by Platt scaling, a slope and an intercept a finding," if platt else ""


def _thresholds(names: Sequence[str], points: OperatingPoints | None) -> list[tuple[str, str]]:
    if points is None:
        return []
    return [
        (name, points.why.get(name, "-") if np.isnan(value) else f"{value:.3f}")
        for name, value in zip(names, points.thresholds, strict=True)
    ]


def _limits(config: BundleConfig) -> list[str]:
    facts, calibration = config.provenance, config.calibration
    limits = []
    if untrained := facts.get("untrained"):
        limits.append(
            f"Its training films were all alike in {', '.join(untrained)}: its numbers for that mean nothing."
        )
    if facts.get("note"):
        limits.append(facts["note"])
    limits += [
        _population(facts, bool(_calibrated(calibration))),
        "It knows only the findings above. Everything else on a film goes unmentioned.",
        "A heatmap shows what moved the network's answer. It is not an outline of disease.",
    ]
    if isinstance(calibration, PlattScaling) and calibration.why:
        names = ", ".join(config.labels.names[column] for column in calibration.why)
        limits.append(
            f"Too few validation films to calibrate {names}: those probabilities are as the network gives them."
        )
    if config.test_time_augmentation == "flip":
        limits.append("It looks at every film twice, as it is and mirrored, and takes about twice the time.")
    return limits


def _population(facts: Mapping[str, Any], calibrated: bool) -> str:
    if facts.get("synthetic"):
        return "It has seen drawings and no person; its scores are on drawings too, and say nothing about people."
    end = ", and its probabilities are calibrated to the share of disease in its own data." if calibrated else "."
    who = facts.get("source", {}).get("who", "only its own data")
    return f"It has seen {who}. Other ages, hospitals and devices are outside what it knows; scores will be lower{end}"


def _with_figures(text: str, folder: Path, paths: Sequence[str]) -> str:
    """Show these figures below the scores of a card, in place of earlier ones."""
    begin, end = _FIGURES
    text = re.sub(rf"{re.escape(begin)}.*?{re.escape(end)}\n*", "", text, flags=re.DOTALL)
    images = [f'<img src="{path}" alt="{_alt_text(folder / path)}" width="{_width(folder / path)}">' for path in paths]
    if not images:
        return text
    block = "\n\n".join([begin, *images, _LEGEND, end])
    at = text.find("\n## Limits\n") + 1
    return f"{text[:at]}{block}\n\n{text[at:]}" if at else f"{text.rstrip()}\n\n{block}\n"


def _alt_text(figure: Path) -> str:
    """The numbers of a figure in words."""
    metrics = read_metrics(figure.with_name(METRICS))
    films = f"on {metrics.dataset}, {_patients(metrics)}, {metrics.n} films"
    if figure.name == ROC:
        values = {name: scores.auroc.value for name, scores in metrics.findings.items()}
        title = f"ROC curves {films}; area under them: "
    else:
        values = {name: scores.ece for name, scores in metrics.findings.items()}
        title = f"Predicted against observed frequency {films}; calibration error: "
    return html.escape(title + ", ".join(f"{name} {value:.3f}" for name, value in values.items() if value is not None))


def _width(figure: Path) -> int:
    """Width in page pixels; the file has ``DENSITY`` dots for each."""
    with Image.open(figure) as image:
        return image.width // DENSITY
