"""Templates are found in their package, escape what goes into a page, and miss no name."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from cxrcore.resources import load_template


def test_a_text_template_is_filled_as_it_is() -> None:
    text = load_template("cxrcore.publishing", "space_app.md").render(title="A <b>", model="m", space="user/film")
    assert text.startswith("# A <b>\n")
    assert text.endswith("overwritten.\n")


def test_a_page_escapes_and_a_missing_name_is_an_error() -> None:
    filters = dict.fromkeys(("number", "interval", "percent", "count", "p", "hundred", "rule", "where"), str)
    page = load_template("cxrcore.reporting", "report.html", **filters)
    assert "&lt;b&gt;" in page.render(model="<b>", evaluations=[], remarks=[])
    with pytest.raises(UndefinedError, match="'model' is undefined"):
        page.render(evaluations=[], remarks=[])
