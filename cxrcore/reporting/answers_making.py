"""Answers to checklists: which films and labels a model learned from, and how it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cxrcore.bundle.calibrators import Identity
from cxrcore.bundle.config import BundleConfig, EnsembleConfig
from cxrcore.reporting.bundle_facts import BundleFacts
from cxrcore.reporting.checklist_answers import Answer, Status, architectures, done, either, not_done, of_public

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
    return of_public(facts, "retrospective: the films were collected before", "when and why the films were collected")


def sources(facts: BundleFacts) -> Answer:
    """Whose films, from where."""
    title, who = facts.of_source("title"), facts.of_source("who")
    return of_public(facts, f"{title}: {who}", "where the films come from")


def setting(facts: BundleFacts) -> Answer:
    """Centres and kind of care."""
    return of_public(facts, facts.of_source("who"), "the centres and the kind of care")


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
    return of_public(facts, "by the publishers of the films; no film is in this bundle", "how films were de-identified")


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
    if any(facts.setting("loss", "teacher")):
        weights = _each(facts.setting("loss", "teacher_weight"))
        values.append(f"targets mixed with the answers of {_each(facts.setting('loss', 'teacher'))} (weight {weights})")
    seeds = facts.stated("seed") or "not stated"
    return done(f"{_each(facts.setting('optimizer', 'name'))}, {', '.join(values)}, seed {seeds}; all in recipe.yaml")


def model_building(facts: BundleFacts) -> Answer:
    """Type of model, steps, internal validation."""
    how = f"{architectures(facts)}; recipe.yaml holds every step; validation patients chose what was chosen"
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
    return of_public(
        facts, f"code Apache-2.0; weights {license}; films: {_terms(facts)}", "who may have films and weights"
    )


def data_sharing(facts: BundleFacts) -> Answer:
    """Films."""
    return of_public(facts, _terms(facts), "who may have the films")


def ethics(facts: BundleFacts) -> Answer:
    """Approval, by source."""
    if facts.synthetic:
        return done("not needed: drawn films, no people")
    fact = f"public data, approved where they were collected ({facts.of_source('title')}); none was sought here"
    return of_public(facts, fact, "the approval and the consent")


def development_details(facts: BundleFacts) -> Answer:
    """Size and reference standard of the training films."""
    counts, labels = partitions(facts), reference_standard(facts)
    if counts.status is not Status.DONE:
        return counts
    return done(f"{counts.text}; {labels.text}") if labels.status is Status.DONE else labels


def data_types(facts: BundleFacts) -> Answer:
    """Films and labels."""
    return done(f"{'drawn films' if facts.synthetic else 'chest radiographs'} as images, a label a finding")


def _each(values: Sequence[object]) -> str:
    return " or ".join(map(str, values))


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
