"""The report: one file that asks nothing of a net, whose numbers are those of metrics.json."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from markupsafe import escape

from cxrcore.errors import BundleNotFound, CxrError, InvalidBundle
from cxrcore.evaluation.score import score_table
from cxrcore.findings import NIH14
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from cxrcore.reporting.html_report import evaluations_of, from_scored, render
from train.report import report


@pytest.fixture(scope="module")
def films() -> Predictions:
    """600 films of 300 people with four of NIH's findings, one of which nobody has, half of them for validation."""
    rng = np.random.default_rng(0)
    labels = type(NIH14)("nih-part", NIH14.kind, (*NIH14.findings[:3], NIH14["Hernia"]))
    targets = (rng.random((600, 4)) < [0.3, 0.2, 0.25, 0]).astype(np.float32)
    logits = 2.0 * targets - 1.5 + rng.normal(0, 1, targets.shape)
    return Predictions(
        images=np.array([f"{k}.png" for k in range(600)]),
        patient_ids=np.arange(600) // 2,
        split=np.repeat(["val", "test"], 300),
        labels=labels,
        targets=targets,
        probabilities=1 / (1 + np.exp(-logits)),
        metadata={"sex": np.tile(["F", "M"], 300).astype(object), "age_years": rng.uniform(18, 90, 600)},
        notes=("7 predicted film(s) <b>without</b> a label, left out.",),
    )


@pytest.fixture(scope="module")
def page(films) -> str:
    return render([from_scored(score_table(films, dataset="nih", model="a <script>model</script>"))])


def test_it_asks_nothing_of_a_net(page):
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:,)""", page)
    assert not re.findall(r"url\(|@import|https?://", page)
    assert "<script" not in page
    assert "default-src 'none'" in page


def test_what_strangers_wrote_is_only_text(page):
    assert "a &lt;script&gt;model&lt;/script&gt;" in page
    assert "&lt;b&gt;without&lt;/b&gt;" in page


def test_it_says_what_it_is_for_and_whose_split(page):
    assert "For research and teaching only. Not a medical device; never for diagnosis." in page
    assert "unknown whether the model saw these patients" in page
    assert "of 150 patients" in page


def test_its_numbers_are_those_of_the_metrics(films, page):
    metrics = score_table(films).metrics.to_dict()
    for name in films.labels:
        scores = metrics["findings"][name]
        for number in (scores["auroc"]["value"], scores["sensitivity"], scores["threshold"], scores["brier"]):
            if number is not None:
                assert f"{number:.3f}".removeprefix("0") in page
    assert metrics["findings"]["Hernia"]["auroc"]["value"] is None
    assert "no film has the finding" in page


def test_net_benefit_is_that_of_the_calls_at_the_threshold(films, page):
    scored = score_table(films)
    section = page.split("Net benefit (is it worth acting on?)")[1].split("</section>")[0]
    assert "acting on nobody scores 0" in section
    for name in films.labels.names[:3]:
        at = scored.metrics.findings[name].threshold
        column, test = films.labels.index(name), scored.films
        called, sick = test.probabilities[:, column] >= at, test.targets[:, column] == 1
        net = 100 * (np.mean(called & sick) - np.mean(called & ~sick) * at / (1 - at))
        everybody = 100 * (sick.mean() - np.mean(~sick) * at / (1 - at))
        row = re.search(rf'row">{name}<.*?</tr>', section)[0]
        assert f"<td>{everybody:.2f}</td>".replace("-", "−").replace(">0.", ">.").replace("−0.", "−.") in row
        assert f'"value">{net:.2f}<small>' in row
    assert "Hernia" not in section


def test_published_scores_stand_beside_with_their_split(films, page):
    section = page.split("Published scores (what have others reported?)")[1].split("</section>")[0]
    assert "Wang 2017<br><small>official split" in section
    assert "CheXNet 2017<br><small>random split" in section
    row = re.search(r'row">Cardiomegaly<.*?</tr>', section)[0]
    assert row.endswith("<td>.810</td><td>.925</td></tr>")
    own = score_table(films).metrics.findings["Cardiomegaly"].auroc.value
    assert f'"value">{own:.3f}'.replace(">0", ">") in row
    assert "Mean of" not in section  # of other findings than theirs
    elsewhere = render([from_scored(score_table(films, dataset="mine", model="m"))])
    assert "Published scores" not in elsewhere


def test_charts_are_sound_svg_with_a_name(page):
    charts = re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL)
    assert len(charts) == 3 * 5 + 2  # Hernia has no ROC and no precision
    for chart in charts:
        root = ElementTree.fromstring(chart)
        assert root.get("aria-label")
        for path in root.iter("path"):
            numbers = [float(x) for x in re.findall(r"-?\d+(?:\.\d)?", path.get("d"))]
            assert numbers
            assert all(-1 <= x <= 260 for x in numbers)


def test_a_histogram_and_groups_need_the_films(films, page):
    assert "Underdiagnosis (sick films called healthy)" in page
    assert "F<br><small>150" in page
    scored = score_table(films)
    from cxrcore.reporting.html_report import Evaluation

    without = render([Evaluation(scored.metrics, scored.curves)])
    assert "Subgroups (for whom does it fail?)" not in without
    assert "Histograms need the films" in without


def test_a_bundle_that_ships_has_its_report(tmp_path):
    path = report("pneumonia", tmp_path / "deep" / "report.html")
    page = path.read_text("utf-8")
    assert page.index("split test") < page.index("split val")
    assert "own split" in page
    assert "Confusion matrix (which class is taken for which?)" in page
    assert len(evaluations_of("pneumonia")) == 2


def test_an_audit_stands_in_the_report_of_its_split_with_its_own_numbers(tmp_path):
    folder = shutil.copytree(find_bundle("pneumonia"), tmp_path / "pneumonia")
    audit = json.loads((folder / "evaluation/kermany-test/audit.json").read_text("utf-8"))
    page = report(str(folder), tmp_path / "r.html").read_text("utf-8")
    (section,) = re.findall(r"<h3>Audit \(.*?</section>", page, re.DOTALL)
    for finding in audit["findings"].values():
        for baseline in finding["baselines"].values():
            value = baseline["auroc"]["value"]
            assert value is None or f'"value">{value:.3f}'.replace(">0", ">") in section
    assert all(str(escape(sentence)) in section for sentence in audit["sentences"])
    assert "The source alone" not in section  # no film of one source tells it
    assert page.index("Audit (what else") < page.index("split val <span")

    (folder / "evaluation/kermany-test/audit.json").write_text("{}")
    with pytest.raises(CxrError, match="cannot be read; run cxr audit again"):
        report(str(folder), tmp_path / "r.html")


def test_a_table_has_its_report(films, tmp_path):
    films.write(tmp_path / "predictions.parquet")
    page = report(str(tmp_path / "predictions.parquet"), tmp_path / "r.html", split="test").read_text("utf-8")
    assert "chosen on validation patients" in page


def test_what_cannot_be_reported_is_said_in_a_sentence(tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(find_bundle("pneumonia") / "config.json", bare)
    with pytest.raises(InvalidBundle, match="carries no scores to report"):
        report(str(bare), tmp_path / "r.html")
    with pytest.raises(BundleNotFound, match=r"has no config.json"):
        report(str(tmp_path), tmp_path / "r.html")
    with pytest.raises(CxrError, match="neither a model nor a predictions table"):
        report("nothing", tmp_path / "r.html")
    with pytest.raises(CxrError, match="names an HTML file"):
        report("pneumonia", tmp_path)
    with pytest.raises(CxrError, match="already measured"):
        report("pneumonia", tmp_path / "r.html", split="val")


@pytest.mark.browser
def test_it_fits_a_phone_and_its_console_is_empty(page, browser, tmp_path):
    (tmp_path / "r.html").write_text(page, "utf-8")
    for width in (1280, 390):
        tab = browser.new_page(viewport={"width": width, "height": 800})
        said: list[str] = []
        asked: list[str] = []
        tab.on("console", lambda message, said=said: said.append(message.text))
        tab.on("request", lambda request, asked=asked: asked.append(request.url))
        tab.goto((tmp_path / "r.html").as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert said == []
        assert len(asked) == 1
        tab.close()
