"""How a bundle answers the items of reporting checklists: done with the measured fact, not done and why, or open.

An answer is done only by what the bundle itself holds. What a person alone can say is for the publisher.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from cxrcore.bundle.calibrators import Identity
from cxrcore.bundle.config import BundleConfig, EnsembleConfig
from cxrcore.bundle.folder import GOLDEN
from cxrcore.evaluation.audit_report import AUDIT, read_audit
from cxrcore.evaluation.record import Metrics
from cxrcore.evaluation.subgroups import Gap
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.operating_points import disease_of
from cxrcore.reporting.bundle_facts import BundleFacts
from cxrcore.text import NumberFormat, size_text

_NUMBER = NumberFormat()
_NOT_SCORED = "no scores on held-out patients are in this bundle"
_NO_RECIPE = "the bundle has no recipe.yaml"
_READERS = {  # dataset -> who set the labels, as its paper or its makers say
    "nih": "a program mined them from radiologists' reports (Wang 2017)",
    "kermany": "two physicians graded each film (Kermany 2018)",
    "phantom": "the program that drew the films",
}
_FILMS_OF = {  # dataset -> what its labels are
    **_READERS,
    "tb": "the class that each collection gives its films",
    "composed": "what the source of each film gives: a report's text, a grade by physicians, a collection's class",
}


class Status(StrEnum):
    """Whether an item is answered."""

    DONE = "done"
    NOT_DONE = "not done"
    OPEN = "for the publisher"


@dataclass(frozen=True)
class Answer:
    """The status of an item and the fact, the reason or the request behind it."""

    status: Status
    text: str


Answering = Callable[[BundleFacts], Answer]


def done(text: str) -> Answer:
    """Done, with the fact."""
    return Answer(Status.DONE, text)


def not_done(why: str) -> Answer:
    """Not done, with the reason."""
    return Answer(Status.NOT_DONE, why)


def never(why: str) -> Answering:
    """Not done in any bundle."""
    return lambda facts: not_done(why)


def always(text: str) -> Answering:
    """True of every bundle that this project writes."""
    return lambda facts: done(text)


def publisher(text: str) -> Answering:
    """What only the publisher of the model can say."""
    return lambda facts: Answer(Status.OPEN, text)


def either(fact: str, why: str) -> Answer:
    """Done with the fact where there is one, else not done."""
    return done(fact) if fact else not_done(why)


# What the model is


def name_and_technology(facts: BundleFacts) -> Answer:
    """Name and kind of network."""
    return done(f"{facts.config.name}: a deep neural network ({_architectures(facts)}) for chest films")


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
        f"{together}{_architectures(facts)}; input {size}; {len(facts.config.labels)} outputs; layers as in timm"
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


def _located(facts: BundleFacts) -> str:
    """How the maps fared against boxes."""
    found = facts.internal.localisation if facts.internal else None
    if found is None or not found.n or found.control is None:
        return "not scored against boxes"
    own, random = (_NUMBER.estimate(hits) for hits in (found.scores["hit"], found.control["hit"]))
    return f"their maximum lies in {own} of {found.n} boxes, that of random maps in {random}"


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


# How it was made


def aim(facts: BundleFacts) -> Answer:
    """The recipe's aim."""
    what = facts.stated("reproduces")
    return either(what and f"{what}; no hypothesis was tested", "no recipe states an aim")


def goal(facts: BundleFacts) -> Answer:
    """Creation of a model, with or without evaluation."""
    if not facts.recipes:
        return not_done(_NO_RECIPE)
    return done("a model was made" + (" and evaluated on held-out patients" if facts.internal else ", not evaluated"))


def retrospective(facts: BundleFacts) -> Answer:
    """Prospective or retrospective."""
    if facts.synthetic:
        return done("neither: films drawn by a program")
    return _of_public(facts, "retrospective: the films were collected before", "when and why the films were collected")


def sources(facts: BundleFacts) -> Answer:
    """Whose films, from where."""
    title, who = facts.of_source("title"), facts.of_source("who")
    return _of_public(facts, f"{title}: {who}", "where the films come from")


def setting(facts: BundleFacts) -> Answer:
    """Centres and kind of care."""
    return _of_public(facts, facts.of_source("who"), "the centres and the kind of care")


def subsets(facts: BundleFacts) -> Answer:
    """Which of the source's films were used."""
    limits, left = facts.setting("data", "limit"), facts.setting("data", "leave_out")
    if not limits:
        return not_done(_NO_RECIPE)
    drawn = (
        "every film at hand that can be read" if limits == [0] else f"at most {max(limits):,} films, drawn by patient"
    )
    out = f"; sources kept for tests: {', '.join(map(str, left[0]))}" if left and left[0] else ""
    return done(drawn + out)


def missing_data(facts: BundleFacts) -> Answer:
    """Unknown labels and unreadable films."""
    fact = "unknown labels give no gradient and enter no score; films that cannot be read are left out, uncounted here"
    return either(fact if facts.recipes else "", _NO_RECIPE)


def deidentification(facts: BundleFacts) -> Answer:
    """Who removed the patients' names."""
    if facts.synthetic:
        return done("drawn films: nobody to identify")
    return _of_public(
        facts, "by the publishers of the films; no film is in this bundle", "how films were de-identified"
    )


def reference_standard(facts: BundleFacts) -> Answer:
    """What the labels are."""
    answer = _labels(facts, _FILMS_OF, "what the labels are and how they were set")
    return done(f"labels: {answer.text}") if answer.status is Status.DONE else answer


def annotators(facts: BundleFacts) -> Answer:
    """Who set the labels."""
    return _labels(facts, _READERS, "who set the labels")


def test_annotation(facts: BundleFacts) -> Answer:
    """Labels of the test films."""
    if facts.synthetic:
        return done("known exactly: the program drew the findings")
    return not_done("test labels are of the same source as training labels; nobody read the films again")


def rater_variability(facts: BundleFacts) -> Answer:
    """Agreement of readers."""
    if facts.synthetic:
        return done("none: the truth is drawn")
    return not_done("the sources give one label a film and no agreement between readers")


def blinding(facts: BundleFacts) -> Answer:
    """Blinded labels."""
    if facts.synthetic:
        return done("labels were set before the model existed, by a program")
    return not_done("the sources record no blinding")


def partitions(facts: BundleFacts) -> Answer:
    """Films and patients by split."""
    known = [_counts(provenance) for provenance in facts.provenances if provenance.get("films")]
    digest = facts.stated("split_sha256")
    whole = len(known) == len(facts.provenances)
    text = "; ".join(dict.fromkeys(known)) + (f"; split {digest[:12]} (SHA-256)" if digest else "")
    return either(text if whole else "", "the bundle does not say which films were held out")


def disjoint(facts: BundleFacts) -> Answer:
    """Level of the split."""
    if not all(provenance.get("patients") for provenance in facts.provenances):
        return not_done("the bundle does not say which patients were held out")
    unknown = {"tb", "composed"} & set(facts.datasets)
    return done(
        "patient" + "; tuberculosis films have no patient ids, ten consecutive ones count as one" * bool(unknown)
    )


def software(facts: BundleFacts) -> Answer:
    """Versions of libraries."""
    versions = [provenance.get("versions") or {} for provenance in facts.provenances]
    lines = dict.fromkeys(", ".join(f"{name} {number}" for name, number in one.items()) for one in versions if one)
    return either("; ".join(lines), "the bundle does not name the libraries' versions")


def initialisation(facts: BundleFacts) -> Answer:
    """Weights at the start."""
    return either(facts.stated("initial_weights"), "the weights at the start are not known")


def training(facts: BundleFacts) -> Answer:
    """Optimiser and its settings."""
    if not facts.recipes:
        return not_done(_NO_RECIPE)
    epochs, rate, batch = (facts.setting("optimizer", key) for key in ("epochs", "lr", "batch_size"))
    values = [f"{_each(epochs)} epochs", f"batches of {_each(batch)}", f"learning rate {_each(rate)}"]
    seeds = facts.stated("seed") or "not stated"
    return done(f"{_each(facts.setting('optimizer', 'name'))}, {', '.join(values)}, seed {seeds}; all in recipe.yaml")


def model_building(facts: BundleFacts) -> Answer:
    """Type of model, steps, internal validation."""
    how = f"{_architectures(facts)}; recipe.yaml holds every step; validation patients chose what was chosen"
    return either(how if facts.recipes else "", _NO_RECIPE)


def selection(facts: BundleFacts) -> Answer:
    """How the final weights were chosen."""
    weights, metric = facts.setting("keep", "weights"), facts.setting("keep", "metric")
    ways = {
        "best": f"the best epoch by {_each(metric)} on validation patients",
        "last": "the last epoch, chosen by no score",
    }
    return either(_each([ways.get(str(way), way) for way in weights]), _NO_RECIPE)


def imbalance(facts: BundleFacts) -> Answer:
    """Weights of the loss."""
    weighted, names = facts.setting("loss", "class_weights"), facts.setting("loss", "name")
    if not weighted:
        return not_done(_NO_RECIPE)
    how = "loss weighted by class, its shift removed after training" if any(weighted) else "none: an unweighted loss"
    return done(f"{how} ({_each(names)}); calibration on validation patients: {_calibrated(facts)}")


def details(facts: BundleFacts) -> Answer:
    """Where the technical details are."""
    return either("recipe.yaml and config.json in this bundle" if facts.recipes else "", _NO_RECIPE)


def sharing(facts: BundleFacts) -> Answer:
    """Code, weights and films."""
    license = facts.stated("license") or "not stated"
    return _of_public(
        facts, f"code Apache-2.0; weights {license}; films: {_terms(facts)}", "who may have films and weights"
    )


def data_sharing(facts: BundleFacts) -> Answer:
    """Films."""
    return _of_public(facts, _terms(facts), "who may have the films")


def ethics(facts: BundleFacts) -> Answer:
    """Approval, by source."""
    if facts.synthetic:
        return done("not needed: drawn films, no people")
    fact = f"public data, approved where they were collected ({facts.of_source('title')}); none was sought here"
    return _of_public(facts, fact, "the approval and the consent")


# What was measured


def measures(facts: BundleFacts) -> Answer:
    """Which measures."""
    fact = "AUROC, AUPRC, sensitivity, specificity, PPV, NPV, F1, Brier score, calibration error, slope and intercept"
    return either(fact if facts.internal else "", _NOT_SCORED)


def uncertainty(facts: BundleFacts) -> Answer:
    """Intervals."""
    area = facts.internal.macro.auroc if facts.internal else None
    known = area is not None and area.low is not None
    fact = (
        f"95 % intervals that know patients repeat (mean AUROC: {area.method}); no test of significance" if area else ""
    )
    return either(fact if known else "", _NOT_SCORED if area is None else "the scores have no interval")


def internal_test(facts: BundleFacts) -> Answer:
    """Scores on the training source's held-out patients."""
    return either(_scored(facts.internal) if facts.internal else "", _NOT_SCORED)


def external_test(facts: BundleFacts) -> Answer:
    """Scores on another source's films."""
    scored = "; ".join(_scored(one) for one in facts.external)
    return either(scored, "no scores on films of another dataset are in this bundle")


def performance(facts: BundleFacts) -> Answer:
    """Headline scores, of every evaluation on people new to the model."""
    held_out = [facts.internal] if facts.internal else []
    return either("; ".join(_scored(one) for one in [*held_out, *facts.external]), _NOT_SCORED)


def accuracy(facts: BundleFacts) -> Answer:
    """Sensitivity and specificity with intervals."""
    scores = facts.internal
    if scores is None:
        return not_done(_NOT_SCORED)
    bounded = [name for name, one in scores.findings.items() if one.rate("sensitivity").low is not None]
    if not bounded:
        return not_done("no decision was made, so there is no sensitivity and no specificity")
    disease = disease_of(facts.config.labels)
    shown = disease if disease in bounded else max(bounded, key=lambda name: scores.findings[name].n_pos)
    rates = (f"{rate} {_NUMBER.estimate(scores.findings[shown].rate(rate))}" for rate in ("sensitivity", "specificity"))
    return done(f"{len(bounded)} of {len(scores.findings)} findings with 95 % intervals; {shown}: {', '.join(rates)}")


def subgroup_performance(facts: BundleFacts) -> Answer:
    """Scores overall and by sex, age and view."""
    if facts.internal is None:
        return not_done(_NOT_SCORED)
    if not facts.gaps:
        return not_done(f"overall with intervals ({_area(facts.internal)}); {_no_groups(facts)}")
    return done(f"overall {_area(facts.internal)}; {_gaps(facts.gaps)}")


def clusters(facts: BundleFacts) -> Answer:
    """Whether sources of films were compared, by the audits in the bundle."""
    audits = [read_audit(path) for path in sorted(facts.folder.glob(f"evaluation/*/{AUDIT}"))]
    compared = [row for audit in audits for row in audit["sources"]["told_apart"] or ()]
    if not compared:
        return not_done("scores were not compared between hospitals or sources")
    apart, sources = sum(row["named"] for row in compared), len({row["source"] for row in compared})
    return done(
        f"the audit compared {sources} sources of films among films alike in the finding: "
        f"in {apart} of {len(compared)} comparisons the model's probability tells them apart"
    )


def biases(facts: BundleFacts) -> Answer:
    """Known biases and failure modes."""
    if facts.gaps:
        return done(_gaps(facts.gaps))
    note = facts.stated("note")
    return either(note, "no bias was looked for: " + (_NOT_SCORED if facts.internal is None else _no_groups(facts)))


def flow(facts: BundleFacts) -> Answer:
    """Participants with and without the outcome."""
    counts = partitions(facts)
    if facts.internal is None or counts.status is not Status.DONE:
        return not_done(_NOT_SCORED if facts.internal is None else counts.text)
    return done(f"{counts.text}; test films with and without each finding stand in the card's table")


def included(facts: BundleFacts) -> Answer:
    """Included and excluded."""
    counts = partitions(facts)
    kept = f"included: {counts.text}; " if counts.status is Status.DONE else ""
    return not_done(f"{kept}how many films were excluded is not recorded")


def demographics(facts: BundleFacts) -> Answer:
    """Age, sex and view of the films' patients."""
    if facts.synthetic:
        return not_done("drawn films have no age and no sex")
    test = _people(facts)
    return not_done(f"{test}of the training films age and sex are not stored in the bundle")


def events(facts: BundleFacts) -> Answer:
    """Films with the outcome in each analysis."""
    splits = {one.split for one in facts.scores if one.dataset in facts.datasets}
    stored = f"stored for {' and '.join(sorted(splits))} films; " if splits else ""
    return not_done(f"{stored}with and without each finding is not stored for the training films")


def difference_in_setting(facts: BundleFacts) -> Answer:
    """Training against evaluation films."""
    if facts.external:
        return done(f"tested also on {', '.join(one.dataset for one in facts.external)}: another source")
    fact = (
        f"none in setting or labels: other patients of the same source ({facts.internal.origin.label})"
        if facts.internal
        else ""
    )
    return either(fact, _NOT_SCORED)


def computed(facts: BundleFacts) -> Answer:
    """How predictions were computed."""
    model = facts.internal.model if facts.internal else ""
    return either(model and f"cxr evaluate, from the stored weights ({model})", _NOT_SCORED)


def updating(facts: BundleFacts) -> Answer:
    """Recalibration for a site."""
    site = facts.members[0].provenance.get("adapted")
    if not site:
        return not_done("never adapted to another site")
    kept = f"calibration and thresholds of {', '.join(site['adapted'])} fitted again on {site['films']} films"
    return done(f"{kept} ({site['dataset']}); before and after in adaptation.json")


def repeatability(facts: BundleFacts) -> Answer:
    """Whether the stored outputs come out again."""
    fact = "golden outputs on drawn films let any machine test that it computes the same; seeds were not compared"
    return either(fact if facts.each_has(GOLDEN) else "", "no golden outputs are in this bundle")


def evidence(facts: BundleFacts) -> Answer:
    """Test data and publication."""
    if facts.internal is None:
        return not_done(_NOT_SCORED)
    return done(f"no trial and no publication of this model; test films: {_who_was_scored(facts.internal)}")


def limits(facts: BundleFacts) -> Answer:
    """Limits on the card."""
    if facts.ensemble:
        fact = "on the members' cards" if facts.each_has("README.md") else ""
        return either(fact, "the members have no cards")
    note = facts.stated("note")
    return done("listed on the card" + (f", among them: {note}" if note else ""))


def gaps_in_data(facts: BundleFacts) -> Answer:
    """Who is missing from the films."""
    who = facts.of_source("who")
    return _of_public(facts, f"it has seen {who}; other ages, hospitals and devices are outside", "who is missing")


def input_gate(facts: BundleFacts) -> Answer:
    """What is done with unfit input."""
    gates = [member.guard for member in facts.members]
    if not all(gates):
        return not_done("no input gate was fitted: it answers whatever it is given")
    films = sum(int(gate.get("films", {}).get("train", 0)) for gate in gates if gate)
    return done(f"an input gate, fitted on {films:,} training films, names unfit pictures; findings are then withheld")


def development_details(facts: BundleFacts) -> Answer:
    """Size and reference standard of the training films."""
    counts, labels = partitions(facts), reference_standard(facts)
    if counts.status is not Status.DONE:
        return counts
    return done(f"{counts.text}; {labels.text}") if labels.status is Status.DONE else labels


def data_types(facts: BundleFacts) -> Answer:
    """Films and labels."""
    return done(f"{'drawn films' if facts.synthetic else 'chest radiographs'} as images, a label a finding")


def site_test(facts: BundleFacts) -> Answer:
    """How a site tests the model on its own films."""
    adapt = "" if facts.ensemble else "; cxr adapt fits calibration and thresholds to them"
    return done(f"cxr evaluate on the site's own labelled films{adapt}")


# Parts of sentences


def _architectures(facts: BundleFacts) -> str:
    return ", ".join(dict.fromkeys(member.architecture for member in facts.members))


def _findings(facts: BundleFacts) -> str:
    names = facts.config.labels.names
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} findings"


def _each(values: Sequence[object]) -> str:
    return " or ".join(map(str, values))


def _of_public(facts: BundleFacts, fact: str, what: str) -> Answer:
    """Done where all training films are of sources known by name; else the publisher says what."""
    return done(fact) if facts.public and fact else Answer(Status.OPEN, f"{what}: the films are the maker's own")


def _labels(facts: BundleFacts, known: dict[str, str], what: str) -> Answer:
    if not facts.public:
        return Answer(Status.OPEN, f"{what}: the films are the maker's own")
    lacking = [name for name in facts.datasets if name not in known]
    if lacking:
        return not_done(f"not recorded for every source of {', '.join(lacking)}")
    return done("; ".join(known[name] for name in facts.datasets))


def _terms(facts: BundleFacts) -> str:
    title, url, license = (facts.of_source(key) for key in ("title", "url", "license"))
    return ", ".join(part for part in (title, license, url) if part)


def _counts(provenance: Mapping[str, Any]) -> str:
    films, patients = provenance["films"], provenance.get("patients") or {}
    return ", ".join(f"{split} {n:,} films of {patients.get(split, n):,} patients" for split, n in films.items())


def _calibrated(facts: BundleFacts) -> str:
    config: BundleConfig | EnsembleConfig = facts.config
    if facts.ensemble and isinstance(config.calibration, Identity):
        config = facts.members[0]
    return str(config.calibration.to_dict()["method"])


def _who_was_scored(scores: Metrics) -> str:
    return (
        f"{scores.dataset} {scores.split} ({scores.origin.label}), {scores.n:,} films of {scores.n_patients:,} patients"
    )


def _area(scores: Metrics) -> str:
    return f"mean AUROC {_NUMBER.estimate(scores.macro.auroc)}"


def _scored(scores: Metrics) -> str:
    return f"{_who_was_scored(scores)}: {_area(scores)}"


def _gaps(gaps: Sequence[Gap]) -> str:
    """Groups, tests and the widest gap of AUROC."""
    groups = list(dict.fromkeys(gap.group for gap in gaps))
    tested = [gap for gap in gaps if gap.p_holm is not None]
    clear = sum(gap.p_holm < 0.05 for gap in tested if gap.p_holm is not None)
    text = f"AUROC by group ({', '.join(groups)}): {clear} of {len(tested)} gaps to the rest significant after Holm"
    measured = [gap for gap in gaps if gap.gap.value is not None]
    if not measured:
        return text
    widest = max(measured, key=lambda gap: abs(gap.gap.value or 0))
    return f"{text}; the widest: {widest.finding}, {widest.group}, {_signed(widest.gap)}"


def _signed(gap: Estimate) -> str:
    return NumberFormat(signed=True).estimate(gap)


def _no_groups(facts: BundleFacts) -> str:
    if facts.films is None:
        return "no table of films is in this bundle, so there are no subgroups"
    return "sex, age and view of enough test patients are not known, so there are no subgroups"


def _people(facts: BundleFacts) -> str:
    """Age, sex and view of the test films; empty where unknown."""
    films = facts.films
    if films is None:
        return ""
    parts = []
    ages = np.asarray(films.metadata.get("age_years", ()), np.float64)
    if np.isfinite(ages).any():
        parts.append(f"median age {np.nanmedian(ages):.0f} years")
    for column, value, words in (("sex", "F", "female"), ("view", "AP", "AP")):
        words_known = [str(word) for word in films.metadata.get(column, ()) if str(word)]
        if words_known:
            parts.append(f"{100 * words_known.count(value) / len(words_known):.0f} % {words}")
    return f"test films: {', '.join(parts)}; " if parts else ""
