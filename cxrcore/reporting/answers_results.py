"""Answers to checklists: what was measured, on whom, and which limits are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cxrcore.bundle.folder import GOLDEN
from cxrcore.evaluation.audit_report import AUDIT, read_audit
from cxrcore.evaluation.record import Metrics
from cxrcore.evaluation.robustness import summary
from cxrcore.evaluation.subgroups import Gap
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.operating_points import disease_of
from cxrcore.reporting.answers_making import partitions
from cxrcore.reporting.bundle_facts import BundleFacts
from cxrcore.reporting.checklist_answers import NUMBER, Answer, Status, done, either, not_done, of_public
from cxrcore.text import NumberFormat

_NOT_SCORED = "no scores on held-out patients are in this bundle"


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


def robustness(facts: BundleFacts) -> Answer:
    """Scores of changed films."""
    if facts.robustness is None:
        return not_done("no changed films were scored for this bundle (cxr evaluate --shake)")
    return done(summary(facts.robustness))


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
    rates = (f"{rate} {NUMBER.estimate(scores.findings[shown].rate(rate))}" for rate in ("sensitivity", "specificity"))
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
    return of_public(facts, f"it has seen {who}; other ages, hospitals and devices are outside", "who is missing")


def input_gate(facts: BundleFacts) -> Answer:
    """What is done with unfit input."""
    gates = [member.guard for member in facts.members]
    if not all(gates):
        return not_done("no input gate was fitted: it answers whatever it is given")
    films = sum(int(gate.get("films", {}).get("train", 0)) for gate in gates if gate)
    return done(f"an input gate, fitted on {films:,} training films, names unfit pictures; findings are then withheld")


def site_test(facts: BundleFacts) -> Answer:
    """How a site tests the model on its own films."""
    adapt = "" if facts.ensemble else "; cxr adapt fits calibration and thresholds to them"
    return done(f"cxr evaluate on the site's own labelled films{adapt}")


def _who_was_scored(scores: Metrics) -> str:
    return (
        f"{scores.dataset} {scores.split} ({scores.origin.label}), {scores.n:,} films of {scores.n_patients:,} patients"
    )


def _area(scores: Metrics) -> str:
    return f"mean AUROC {NUMBER.estimate(scores.macro.auroc)}"


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
