"""Static charts: what the report embeds has the numbers it was given, the page's colours and no program's name."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from cxrcore.reporting import charts
from cxrcore.reporting.figures import reliability_end, short, unit_ticks

CURVE = {"false_positive_rate": [0.0, 0.25, 1.0], "sensitivity": [0.0, 0.75, 1.0]}


def test_a_curve_and_its_operating_point_lie_where_the_numbers_are() -> None:
    chart = ElementTree.fromstring(charts.roc(CURVE, (0.75, 0.75), "ROC curve of <Mass>"))
    assert chart.get("aria-label") == "ROC curve of <Mass>"
    assert chart.get("viewBox") == "0 0 220 206"
    left, right, top, bottom = 34, 210, 8, 170  # of the plotting area
    x, y = left + 0.25 * (right - left), bottom - 0.75 * (bottom - top)
    (dot,) = chart.iter("circle")
    assert (float(dot.get("cx", 0)), float(dot.get("cy", 0))) == pytest.approx((x, y), abs=0.1)
    assert any(f"L{x:g} {y:g}" in path.get("d", "") for path in chart.iter("path"))


def test_colours_are_the_pages_own_and_equal_numbers_give_equal_text() -> None:
    first = charts.roc(CURVE, None, "x")
    assert first == charts.roc(CURVE, None, "x")
    assert not re.search(r"#[0-9a-f]{3,}|matplotlib|font-family|\bid=|url\(|http", first)
    assert {"var(--blue)", "var(--grid)", "var(--soft)"} <= set(re.findall(r"var\(--\w+\)", first))


def test_axes_end_where_a_rare_finding_fills_them() -> None:
    bins = [{"probability": 0.04, "frequency": 0.15}]
    assert reliability_end(bins) == 0.2
    assert unit_ticks(0.2) == {0.0: "0", 0.1: ".1", 0.2: ".2"}
    assert [short(value) for value in (0, 0.5, 1)] == ["0", ".50", "1"]
