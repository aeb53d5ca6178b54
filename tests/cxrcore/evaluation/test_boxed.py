"""``cxr evaluate`` scores maps against boxes; oracles: the library's own map of each film, and arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cxrcore
from cxrcore.datasets.boxes import read_boxes
from cxrcore.datasets.phantoms import write_phantoms
from cxrcore.evaluation.boxed import locate_heatmap
from cxrcore.evaluation.record import as_table, read_metrics
from cxrcore.explain.heatmap import Heatmap
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.predictions.record import Predictions
from tests.films import encoded
from train.cli import main

FILMS = 24


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Phantoms, of which one has lost its boxes."""
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, FILMS, seed=50_000)
    lines = (folder / "boxes.csv").read_text().splitlines(keepends=True)
    lost = lines[1].split(",")[0]
    (folder / "boxes.csv").write_text("".join(line for line in lines if not line.startswith(lost)))
    return folder


@pytest.fixture(scope="module")
def scores(films, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("scores")
    where = ["--dataset", "phantom", "--data", str(films), "--split", "all", "--out", str(out)]
    assert main(["evaluate", "phantom", *where, "--faithfulness", "10"]) == 0
    return out


def test_the_share_of_hits_is_that_of_the_maps_whose_maximum_lies_in_the_box(films, scores):
    metrics = json.loads((scores / "metrics.json").read_text())
    model, boxes = cxrcore.load("phantom"), read_boxes(films)
    total = 0
    for finding in model.labels:
        hits = []
        for box in (box for box in boxes if box.finding == finding):
            heat = np.asarray(model.explain(cxrcore.read_radiograph(films / "images" / box.image), finding))
            row, column = (index.mean() for index in np.nonzero(heat == heat.max()))
            hits.append(box.y <= row < box.y + box.height and box.x <= column < box.x + box.width)
        own = metrics["findings"][finding]["localisation"]
        assert (own["n"], own["hit"]["value"]) == (len(hits), pytest.approx(np.mean(hits)))
        assert own["noise"]["value"] is not None
        total += len(hits)
    assert metrics["localisation"]["n"] == total == len(boxes)
    assert metrics["localisation"]["hit"]["low"] > metrics["localisation"]["noise"]["high"]


def test_drawn_boxes_are_scored_beside_noise_s(scores):
    overall = json.loads((scores / "metrics.json").read_text())["localisation"]
    assert overall["box_iou_10"]["value"] >= overall["box_iou_25"]["value"] >= overall["box_iou_50"]["value"]
    for score in ("iou", "box_iou", "box_iou_10"):
        assert 0 <= overall[f"noise_{score}"]["value"] <= overall[score]["value"] <= 1


def test_the_maps_scores_stand_in_the_table_and_are_read_as_written(scores):
    path = scores / "metrics.json"
    metrics = read_metrics(path)
    assert json.dumps(metrics.to_dict()) == json.dumps(json.loads(path.read_text()))
    assert metrics.faithfulness.n == 10
    assert set(metrics.faithfulness.findings) == set(metrics.findings)
    text = as_table(metrics)
    assert f"maps on {metrics.localisation.n} boxes: maximum inside 0." in text
    assert "against a random order: deletion -" in text


def test_other_figures_are_those_without_maps(films, scores, tmp_path):
    where = ["--dataset", "phantom", "--data", str(films), "--split", "all", "--out", str(tmp_path)]
    assert main(["evaluate", "phantom", *where]) == 0
    one, other = (json.loads((folder / "metrics.json").read_text()) for folder in (scores, tmp_path))
    assert "--faithfulness" in other["faithfulness"]["why"]
    assert other["faithfulness"]["deletion"] is None
    assert one.pop("faithfulness") != other.pop("faithfulness")
    assert one == other
    tables = [Predictions.read(folder / "predictions.parquet") for folder in (scores, tmp_path)]
    assert np.array_equal(tables[0].probabilities, tables[1].probabilities)


def test_a_set_without_boxes_says_so(toy_run):
    own = json.loads((toy_run / "evaluation/kermany-test/metrics.json").read_text())
    for where in (own, *own["findings"].values()):
        assert (where["localisation"]["n"], where["localisation"]["hit"]) == (0, None)
        assert "has a box" in where["localisation"]["why"]
    assert own["faithfulness"]["why"]


def test_boxes_of_another_copy_of_the_film_are_in_that_copys_pixels():
    film = cxrcore.read_radiograph(encoded(np.zeros((128, 128), np.uint8), "PNG"))
    signed = np.zeros((8, 8), np.float32)
    signed[1, 2:4] = 1
    heat = Heatmap("Mass", "gradcam", signed, film.pixels.shape, Preprocessing(64, 64, 1))
    small, noise = locate_heatmap(heat, film, [(32, 16, 32, 16)])
    large, _ = locate_heatmap(heat, film, [(256, 128, 256, 128)], (1024, 1024))
    assert small == large
    assert small.hit
    assert 0.5 < small.box_iou <= 1
    assert noise.box_iou < 0.5
