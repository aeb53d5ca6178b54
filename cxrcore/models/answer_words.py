"""A film's answer in words: one line for the film, one sentence a finding; the page's ``words.js`` says the same.

A sentence reconciles three things that may point different ways: the probability, its threshold, and whether the map is
stronger than in films without the finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrcore.explain.heatmap import Heatmap
from cxrcore.findings import Kind, LabelSet
from cxrcore.models.base import Prediction
from cxrcore.text import listed, probability_text, rate_text

SLIGHTLY = 1.25  # times the level of films without the finding; a map below that is slightly stronger
_FEW = 3  # findings or classes that are told one by one


def in_words(labels: LabelSet, prediction: Prediction, heatmaps: Mapping[str, Heatmap] | None = None) -> dict[str, Any]:
    """For JSON: the ``summary``, and finding to sentence in ``sentences``."""
    maps = heatmaps or {}
    return {
        "summary": summary(labels, prediction),
        "sentences": {name: sentence(labels, prediction, name, maps.get(name)) for name in labels},
    }


def by_alarm(labels: LabelSet, prediction: Prediction) -> list[str]:
    """Names in the order to show: of several findings those above their threshold, then by probability."""

    def rank(name: str) -> tuple[bool, float]:
        alarm = labels.kind is Kind.MULTILABEL and prediction.positive[name] is True
        return not alarm, -prediction.probabilities[name]

    return sorted(labels, key=rank)


def summary(labels: LabelSet, prediction: Prediction) -> str:
    """The film in one line, without a full stop."""
    if labels.kind is Kind.MULTICLASS and not labels.binary:
        return _most_likely(labels, prediction)
    positive, diseases = prediction.positive, labels.abnormal
    single = len(diseases) == 1
    alarms = [name for name in diseases if positive[name]]
    undecided = sum(positive[name] is None for name in diseases)
    if undecided == len(diseases):
        highest = max(diseases, key=lambda name: prediction.probabilities[name])
        words = f"{labels[highest].title}, {probability_text(prediction.probabilities[highest])}"
        return words if single else f"Highest: {words}"
    if single:
        return f"{labels[diseases[0]].title} is {'above' if alarms else 'below'} the alarm threshold"
    rest = f"; {undecided} {'has' if undecided == 1 else 'have'} none" if undecided else ""
    if not alarms:
        return f"No finding reaches its alarm threshold{rest}"
    if len(alarms) == 1:
        return f"{labels[alarms[0]].title} is above its alarm threshold{rest}"
    return f"{len(alarms)} of {len(diseases)} findings are above their alarm threshold{rest}"


def _most_likely(labels: LabelSet, prediction: Prediction) -> str:
    shares = prediction.probabilities
    winner = max(labels, key=lambda name: (bool(prediction.positive[name]), shares[name]))
    words = f"Most likely: {labels[winner].title} ({probability_text(shares[winner])})"
    abnormal = sorted(labels.abnormal, key=lambda name: -shares[name])
    if labels.normal is None or len(abnormal) < 2:
        return words
    together = probability_text(sum(shares[name] for name in abnormal))
    names = _together([labels[name].title.lower() for name in abnormal])
    return f"{words}; {names} together {together}"


def _together(titles: list[str]) -> str:
    """Titles as a list, a last word that all share said once: ``viral and bacterial pneumonia``."""
    if len(titles) > _FEW:
        return "all other classes"
    parts = [title.rpartition(" ") for title in titles]
    if all(first and last == parts[0][2] for first, _, last in parts):
        return f"{listed([first for first, *_ in parts])} {parts[0][2]}"
    return listed(titles)


def verdict(labels: LabelSet, prediction: Prediction, name: str) -> str:
    """Whether a finding is above its threshold, beside its probability; of two classes only the disease has one."""
    positive, threshold = prediction.positive[name], prediction.thresholds[name]
    short = len(labels) > _FEW
    if labels.binary and labels[name].normal:
        return ""
    if positive is None:
        return "no known threshold" if short else "no alarm threshold is known"
    if threshold is None:
        return "the most likely here" if positive else "less likely"
    which = "its threshold" if short else "this model's alarm threshold"
    return f"{'above' if positive else 'below'} {which} of {rate_text(threshold)}"


def sentence(labels: LabelSet, prediction: Prediction, name: str, heatmap: Heatmap | None = None) -> str:
    """What probability, threshold and map say of a finding together. Without a map's level, the first two."""
    finding, positive = labels[name], prediction.positive[name]
    evidence = heatmap.evidence if heatmap else None
    if labels.binary and finding.normal:
        other = labels.abnormal[0]
        share = probability_text(prediction.probabilities[other])
        return f"What remains of 100 % beside {labels[other].title.lower()} ({share})."
    title, small = finding.title, finding.title.lower()
    begun = _decided(prediction, name, title, begins=True)
    if heatmap is None or evidence is None:
        return f"{begun}."
    compared = _map_words(labels, heatmap)
    if evidence and positive is False:
        return f"The map {compared}, but {_decided(prediction, name, small)}."
    if positive is False and not finding.normal:
        below = _decided(prediction, name, "it")
        return f"Nothing on this film stands out for {small}: {below}, and the map {compared}."
    return f"{begun}, {'but' if positive and not evidence else 'and'} the map {compared}."


def _decided(prediction: Prediction, name: str, subject: str, begins: bool = False) -> str:
    """The probability beside its threshold, or beside the other classes."""
    positive, threshold = prediction.positive[name], prediction.thresholds[name]
    share, probability = probability_text(prediction.probabilities[name]), f"{'The' if begins else 'the'} probability"
    if positive is None:
        return f"{probability} is {share} (no alarm threshold is known)"
    if threshold is None:
        return f"{subject} is {'the most likely class' if positive else 'less likely than another class'} ({share})"
    side = "is above" if positive else "stays below"
    return f"{probability} ({share}) {side} the alarm threshold of {rate_text(threshold)}"


def _map_words(labels: LabelSet, heatmap: Heatmap) -> str:
    exclusive = labels.kind is Kind.MULTICLASS and not labels.binary
    others = "films of the other classes" if exclusive else "films without it"
    strength, level = heatmap.strength or 0.0, heatmap.evidence_level or 0.0
    if not heatmap.evidence:
        return f"is no stronger than in 95 % of {others}"
    return f"is {'slightly ' * (strength < SLIGHTLY * level)}stronger than in 95 % of {others}"
