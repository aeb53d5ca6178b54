"""Answers to checklists: what the model is, takes and gives."""

from __future__ import annotations

import numpy as np

from cxrcore.reporting.bundle_facts import BundleFacts
from cxrcore.reporting.checklist_answers import NUMBER, Answer, architectures, done, either, not_done
from cxrcore.text import size_text


def name_and_technology(facts: BundleFacts) -> Answer:
    """Name and kind of network."""
    return done(f"{facts.config.name}: a deep neural network ({architectures(facts)}) for chest films")


def population_and_outcome(facts: BundleFacts) -> Answer:
    """Whom and what a title names."""
    who = facts.of_source("who")
    return either(who and f"{_findings(facts)}; {who}", "whose films it learned from is not known")


def name(facts: BundleFacts) -> Answer:
    """Name of the bundle."""
    return done(facts.config.name)


def version(facts: BundleFacts) -> Answer:
    """Digest of the weights."""
    return either(facts.version and f"weights {facts.version} (SHA-256, first digits)", "the weights are not at hand")


def date(facts: BundleFacts) -> Answer:
    """Day of training."""
    day = facts.stated("trained_on")
    return either(day and f"trained on {day}", "the bundle does not say when it was trained")


def architecture(facts: BundleFacts) -> Answer:
    """Network, input and output."""
    first = facts.members[0].preprocessing
    size = f"{first.height} x {first.width} pixels, {first.channels} channel{'s' * (first.channels > 1)}"
    together = f"{len(facts.members)} networks, " if facts.ensemble else ""
    return done(
        f"{together}{architectures(facts)}; input {size}; {len(facts.config.labels)} outputs; layers as in timm"
    )


def inputs_and_outputs(facts: BundleFacts) -> Answer:
    """What goes in and comes out."""
    return done(f"in: the pixels of one film; out: a probability and a heatmap for {_findings(facts)}")


def preprocessing(facts: BundleFacts) -> Answer:
    """Steps from a film to the network's input."""
    steps = dict.fromkeys(
        f"{p.height} x {p.width} pixels, {p.geometry}, intensity {p.intensity}, mean {p.mean:g}, deviation {p.std:g}"
        for p in (member.preprocessing for member in facts.members)
    )
    return done(f"{' and '.join(steps)}; the same for every film, in training and in use")


def output(facts: BundleFacts) -> Answer:
    """Probabilities, and how they become a decision."""
    points, labels = facts.config.operating_points, facts.config.labels
    if points is not None:
        chosen = int(np.isfinite(points.thresholds).sum())
        return done(
            f"probabilities; {chosen} of {len(labels)} thresholds by the rule {points.rule}, on {points.fitted_on}"
        )
    if len(labels) > 2 and str(labels.kind) == "multiclass":
        return done("probabilities that sum to 1; the most probable class is the decision, so there are no thresholds")
    return not_done("probabilities, but no threshold was fitted, so nothing is called positive")


def ensembling(facts: BundleFacts) -> Answer:
    """How networks are joined."""
    twice = any(member.test_time_augmentation == "flip" for member in facts.members)
    looks = "; the mean of each film and its mirror image" if twice else ""
    if facts.ensemble:
        return done(f"mean of the calibrated probabilities of {len(facts.members)} networks{looks}")
    return done(f"one network, no ensemble{looks}")


def explainability(facts: BundleFacts) -> Answer:
    """Heatmaps, and whether they were validated."""
    levels = [level for level in facts.config.evidence_levels.values() if level is not None]
    share = f"{len(levels)} of {len(facts.config.labels)}"
    fact = (
        f"class activation maps, with an evidence level from validation films for {share} findings; {_located(facts)}"
    )
    return either(fact if levels else "", "heatmaps can be drawn, and no evidence level was fitted to them")


def specification(facts: BundleFacts) -> Answer:
    """Everything that a third party needs to compute the predictions."""
    license = facts.stated("license")
    fact = f"model.safetensors and config.json, opened by cxrcore and timm; licence {license or 'not stated'}"
    return either(fact if facts.weights_bytes else "", "the weights are not at hand")


def resources(facts: BundleFacts) -> Answer:
    """What a prediction costs."""
    size, passes = facts.weights_bytes, sum(1 + (m.test_time_augmentation == "flip") for m in facts.members)
    fact = f"{size_text(size)} of weights, {passes} forward pass{'es' * (passes > 1)} a film; a CPU is enough"
    return either(fact if size else "", "the weights are not at hand")


def _located(facts: BundleFacts) -> str:
    """How the maps fared against boxes."""
    found = facts.internal.localisation if facts.internal else None
    if found is None or not found.n or found.control is None:
        return "not scored against boxes"
    own, random = (NUMBER.estimate(hits) for hits in (found.scores["hit"], found.control["hit"]))
    return f"their maximum lies in {own} of {found.n} boxes, that of random maps in {random}"


def _findings(facts: BundleFacts) -> str:
    names = facts.config.labels.names
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} findings"
