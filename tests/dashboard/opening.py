"""What tests of the dashboard share: a page opened without a browser, and what it says."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

from cxrcore.models.opening import find_bundle

ROOT = Path(__file__).resolve().parents[2]
PHANTOM, PNEUMONIA = "phantom", "pneumonia"


def open_page(page: str, **link: str) -> AppTest:
    """The page as a link opens it; any exception is the test's failure."""
    at = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60)
    for key, value in link.items():
        at.query_params[key] = value
    if page != "overview":
        at.run()  # AppTest turns pages only after a first run
        at.switch_page(f"screens/{page}.py")
    return checked(at.run())


def without_table(folder: Path) -> str:
    """A copy of the pneumonia model that has scores and no table of films; returns its path."""
    shutil.copytree(find_bundle(PNEUMONIA), folder)
    for table in folder.rglob("predictions.parquet"):
        table.unlink()
    return str(folder)


def checked(at: AppTest) -> AppTest:
    """Nothing went wrong that nobody foresaw."""
    assert not at.exception, [error.stack_trace for error in at.exception]
    return at


def cards(at: AppTest) -> dict[str, str]:
    """Headline numbers by their label."""
    return {metric.label: metric.value for metric in at.metric}


def words(at: AppTest) -> str:
    """All prose of the page."""
    elements = (*at.header, *at.subheader, *at.markdown, *at.caption, *at.info, *at.warning, *at.error)
    return "\n".join(element.value for element in elements)


def charts(at: AppTest) -> list[dict[str, Any]]:
    """Every chart's figure, its arrays as lists."""
    return [_plain(json.loads(chart.proto.spec)) for chart in at.get("plotly_chart")]


def _plain(value: Any) -> Any:
    """Plotly sends arrays as base64."""
    if isinstance(value, dict) and "bdata" in value:
        array = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
        return (array.reshape([int(n) for n in value["shape"].split(",")]) if "shape" in value else array).tolist()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def link(at: AppTest, key: str) -> str | None:
    """What the address bar says."""
    value = at.query_params.get(key)
    return value[0] if isinstance(value, list) else value


def stored(model: str, evaluation: str, file: str = "metrics.json") -> dict[str, Any]:
    """A bundle's metrics.json, or another file of its evaluation."""
    return json.loads((find_bundle(model) / "evaluation" / evaluation / file).read_text("utf-8"))
