"""The report of one film: its numbers are the library's, nothing of the patient is in it, and it prints on one page."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cxrcore
from cxrcore.errors import CxrError, LabelMismatch
from cxrcore.gate.negatives import draw_negatives
from cxrcore.gate.reasons import REASONS, decided
from cxrcore.models.base import Analysis
from cxrcore.models.shaking import spread
from cxrcore.phantom import draw_phantom
from cxrcore.reporting.film_report import MOST_TYPED, FilmReportOptions, percent, render_film
from cxrcore.serving.decisions import decisions
from train.report import report_film

AT = datetime(2030, 2, 1, 9, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def model() -> Any:
    return cxrcore.load("phantom")


@pytest.fixture(scope="module")
def film() -> cxrcore.Radiograph:
    return replace(draw_phantom(3, ["Effusion"]).film, name="Geheim_Otto.png", view="PA")


@pytest.fixture(scope="module")
def analysis(model: Any, film: cxrcore.Radiograph) -> Analysis:
    return model.analyse(film)


@pytest.fixture(scope="module")
def page(model: Any, film: cxrcore.Radiograph, analysis: Analysis) -> str:
    return render_film(film, model, FilmReportOptions(synthetic=True), analysis, AT)


def words(page: str) -> str:
    """What a reader sees of it."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def table(page: str) -> dict[str, list[str]]:
    rows = re.findall(r"<tr[^>]*><th scope=\"row\">(.*?)</th>(.*?)</tr>", page)
    return {title: re.findall(r"<td[^>]*>(.*?)</td>", cells) for title, cells in rows}


def test_it_asks_nothing_of_a_net(page: str) -> None:
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", page)
    assert not re.findall(r"url\(|@import|https?://|<script", page)
    assert "default-src 'none'" in page


def test_its_numbers_are_those_of_the_prediction_and_the_shaken_film(
    model: Any, film: cxrcore.Radiograph, analysis: Analysis, page: str
) -> None:
    prediction, moves, rows = analysis.prediction, spread(model, film), table(page)
    assert rows.keys() == {model.labels[name].title for name in model.labels}
    for name, probability in prediction.probabilities.items():
        shown, interval, threshold, decision, _ = map(html.unescape, rows[model.labels[name].title])
        assert shown == percent(probability)
        assert interval == " to ".join(map(percent, moves[name]))
        assert float(threshold.split()[0]) == pytest.approx(100 * prediction.thresholds[name], abs=0.51)
        assert decision == ("above" if prediction.positive[name] else "below")
    (tested,) = [scores for scores in model.info["metrics"] if scores["split"] == "test"]
    assert rows["Effusion"][-1].startswith(f"{tested['findings']['Effusion']['auroc']['value']:.3f} (")


def test_it_says_whose_answer_it_is_when_and_for_what(page: str, analysis: Analysis) -> None:
    text = words(page)
    for part in (analysis.prediction.model, "1 February 2030, 09:05 UTC", "never for diagnosis", "view PA"):
        assert part in text
    assert "This film is drawn by a program and shows nobody." in text


def test_nothing_of_the_file_is_in_it_but_what_was_typed(page: str, model: Any, film: cxrcore.Radiograph) -> None:
    assert "Geheim" not in page
    typed = render_film(film, model, FilmReportOptions(title="Case <7>", note="Seen by A & B"), at=AT)
    assert "Case &lt;7&gt;" in typed
    assert "Seen by A &amp; B" in words(typed) or "Seen by A & B" in words(typed)


def test_maps_are_of_the_findings_above_their_threshold_or_of_those_asked_for(
    model: Any, film: cxrcore.Radiograph, analysis: Analysis, page: str
) -> None:
    above = [name for name, positive in analysis.prediction.positive.items() if positive]
    shown = set(re.findall(r"with the map for ([\w ]+)", page))
    assert shown == {model.labels[name].title for name in above if analysis.heatmaps[name].evidence is not False}
    loud = Analysis(
        analysis.prediction, {name: replace(heat, evidence_level=-1.0) for name, heat in analysis.heatmaps.items()}
    )
    asked = render_film(film, model, FilmReportOptions(("Nodule", "Cardiomegaly")), loud, AT)
    assert re.findall(r"with the map for ([\w ]+)", asked) == ["Nodule", "Cardiomegaly"]


def test_a_map_without_more_evidence_than_usual_is_not_drawn(
    model: Any, film: cxrcore.Radiograph, analysis: Analysis
) -> None:
    silent = {name: replace(heat, evidence_level=1e6) for name, heat in analysis.heatmaps.items()}
    page = render_film(film, model, FilmReportOptions(("Effusion",)), Analysis(analysis.prediction, silent), AT)
    assert page.count("<img") == 1
    assert "Nothing on this film stands out for effusion" in words(page)


def test_another_way_to_decide_is_named_and_applied(model: Any, film: cxrcore.Radiograph, analysis: Analysis) -> None:
    (choice,) = [one for one in decisions(model) if one["key"] == "risk=0.05"]
    page = render_film(film, model, FilmReportOptions(rule="risk=0.05"), analysis, AT)
    assert choice["title"] in words(page)
    answers = {"rule_in": "ruled in", "rule_out": "ruled out", "unsure": "unsure"}
    for name, answer in analysis.prediction.triage.items():
        assert table(page)[model.labels[name].title][3] == answers[answer]
    with pytest.raises(CxrError, match="does not decide by 'nosuch'"):
        render_film(film, model, FilmReportOptions(rule="nosuch"), analysis, AT)


def test_a_refused_film_is_said_to_be_refused(model: Any) -> None:
    pixels = np.ascontiguousarray(draw_negatives(2, seed=6)[0], np.float32)
    refused = cxrcore.Radiograph(pixels, 8, 8, "PNG")
    text = words(render_film(refused, model, FilmReportOptions(overruled=True), at=AT))
    assert "The input gate refused this film: This does not look like a front view of a chest." in text
    assert "Analysed all the same, as asked" in text


def test_what_one_page_cannot_hold_is_refused(model: Any, film: cxrcore.Radiograph) -> None:
    with pytest.raises(CxrError, match="room for 3 maps, and 4 findings"):
        FilmReportOptions(tuple(model.labels.names[:4]))
    with pytest.raises(CxrError, match="the note of a report has at most 400 characters"):
        FilmReportOptions(note="x" * 401)
    with pytest.raises(LabelMismatch):
        render_film(film, model, FilmReportOptions(("Broken rib",)))


def crowded(model: Any, film: cxrcore.Radiograph, maps: int) -> str:
    """As much as a report may have to say."""
    analysis = model.analyse(film)
    verdict = decided({code for code in REASONS if code != "INVERTED"}, turn=1)
    prediction = replace(
        analysis.prediction,
        positive=dict.fromkeys(model.labels, True),
        gate=verdict,
        warnings=tuple(f"Warning {k}: " + "the film is small, with few grey levels, and so on. " * 2 for k in range(3)),
    )
    heats = {name: replace(heat, evidence_level=-1.0) for name, heat in analysis.heatmaps.items()}
    options = FilmReportOptions(
        tuple(model.labels.names[:maps]),
        title="Wide " * (MOST_TYPED["title"] // 5),
        note="A note " * (MOST_TYPED["note"] // 7),
        synthetic=True,
        corrected="turned by 90° to the left and black and white exchanged",
        overruled=True,
    )
    return render_film(film, model, options, Analysis(prediction, heats), AT)


@pytest.mark.browser
def test_it_prints_on_one_page_of_either_paper(browser: Any, page: str, tmp_path: Path) -> None:
    """Oracle: the pages that Chromium writes, of the usual report and of one that says all it can."""
    nih = cxrcore.load("nih14")
    wide = cxrcore.Radiograph(np.tile(np.linspace(0, 1, 700, dtype=np.float32), (300, 1)), 8, 8, "PNG")
    tall = cxrcore.Radiograph(np.ascontiguousarray(wide.pixels.T), 8, 8, "PNG")
    shown = browser.new_page()
    for content in (page, crowded(nih, wide, 1), crowded(nih, tall, 3)):
        shown.set_content(content)
        for paper in ("A4", "Letter"):
            pdf = shown.pdf(format=paper, print_background=True)
            assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    shown.close()


def test_the_command_line_writes_it_beside_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = cxrcore.resources.ASSETS / "examples" / "effusion.png"
    (tmp_path / "effusion.png").write_bytes(example.read_bytes())
    written = report_film("phantom", tmp_path / "effusion.png", findings="Effusion, Nodule", note="Typed")
    text = words(written.read_text("utf-8"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["effusion-report.html", "effusion.png"]
    assert "Typed" in text
    assert "drawn by a program and shows nobody" in text
