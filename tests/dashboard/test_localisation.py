"""Localisation: heatmaps against boxes, beside noise, on films drawn from their seeds."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxrcore.datasets.boxes import Box, read_boxes, write_boxes
from cxrcore.evaluation.record import read_metrics
from cxrcore.explain.heatmap import Heatmap
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.metrics.faithfulness import summarise_faithfulness
from cxrcore.metrics.localisation import Located, summarise_localisation
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from cxrcore.storage import write_json
from dashboard.heatmaps import study_maps
from dashboard.sources.pictures import Pictures
from tests.dashboard.opening import charts, open_page, words

PHANTOM = find_bundle("phantom")
FILMS = 24


@pytest.fixture(scope="module")
def few_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom model with the first films of its test set alone."""
    folder = tmp_path_factory.mktemp("place") / "phantom-few"
    shutil.copytree(PHANTOM, folder, ignore=shutil.ignore_patterns("phantom-val"))
    place = folder / "evaluation" / "phantom-test"
    films = Predictions.read(place / "predictions.parquet").rows(np.arange(FILMS))
    films.write(place / "predictions.parquet")
    kept = set(films.images.tolist())
    write_boxes(place / "boxes.csv", [box for box in read_boxes(place) if box.image in kept])
    return folder


@pytest.fixture(scope="module")
def torch_loaded() -> None:
    """Importing torch may take longer than a page may, on a busy machine."""
    import cxrcore

    cxrcore.load("phantom")


@dataclass
class Pointer:
    """A model whose map is bright in one eighth of the film each way, at a place given by name."""

    places: dict[str, tuple[int, int]]
    geometry: Any = "squash"

    def analyse(self, film: Any) -> Any:
        signed = np.full((8, 8), -1.0, np.float32)
        signed[self.places[film.name]] = 2.0
        prep = Preprocessing(64, 64, 1, geometry=self.geometry)
        heat = Heatmap("Mass", "gradcam", signed, film.pixels.shape, prep, scale="logit", bias=0.0)
        return SimpleNamespace(heatmaps={"Mass": heat})


@pytest.fixture
def copies(tmp_path: Path) -> tuple[Path, list[str]]:
    """Films called as NIH calls them, of 320 pixels, while boxes count 1024."""
    names = [f"{patient:08d}_000.png" for patient in range(12)]
    for name in names:
        noise = np.random.default_rng(int(name[:8])).integers(0, 255, (320, 320), np.uint8)
        Image.fromarray(noise).save(tmp_path / name)
    return tmp_path, names


def test_a_map_on_the_box_always_hits_and_a_map_beside_it_never(copies: tuple[Path, list[str]]) -> None:
    folder, names = copies
    boxes = [Box(name, "Mass", 640.0, 256.0, 128.0, 128.0) for name in names]  # row 2, column 5 of 8
    pictures = Pictures(names, folder)
    there = study_maps(Pointer(dict.fromkeys(names, (2, 5))), pictures, boxes, {"Mass": names}, {})  # type: ignore[arg-type]
    found = there.localisation["Mass"]
    assert found.n == len(names)
    assert found.scores["hit"].value == 1.0
    assert found.control is not None
    assert (found.control["hit"].value or 0) < 0.5
    assert np.unravel_index(there.mean_maps["Mass"].argmax(), (32, 32))[0] // 4 == 2
    assert there.mean_films["Mass"] == len(names)
    beside = study_maps(Pointer(dict.fromkeys(names, (7, 0))), pictures, boxes, {}, {})  # type: ignore[arg-type]
    assert beside.localisation["Mass"].scores["hit"].value == 0.0


def test_a_film_that_cannot_be_read_is_named(copies: tuple[Path, list[str]]) -> None:
    folder, names = copies
    (folder / names[0]).write_bytes(b"no film")
    boxes = [Box(name, "Mass", 0.0, 0.0, 100.0, 100.0) for name in names]
    study = study_maps(Pointer(dict.fromkeys(names, (0, 0))), Pictures(names, folder), boxes, {}, {})  # type: ignore[arg-type]
    assert study.unreadable == (names[0],)
    assert study.localisation["Mass"].n == len(names) - 1


@pytest.mark.slow
@pytest.mark.usefixtures("torch_loaded")
def test_phantoms_are_drawn_again_and_scored_against_their_boxes(few_films: Path) -> None:
    app = open_page("localisation", model=str(few_films))
    assert "maps of every finding" in words(app).replace("\n", " ")
    assert not charts(app)
    app.button(key="place-compute").click().run()
    assert not app.exception
    said = words(app)
    assert "Heatmaps against boxes" in said
    assert "Mean heatmaps" in said
    assert "Too few boxes for a statement, fewer than 10 films" in said
    table = app.dataframe[0].value.set_index("finding")
    assert (table["random_hit"].notna()).all()
    assert _hits(few_films, "Pneumothorax") == pytest.approx(table.loc["Pneumothorax", "hit"], abs=1e-9)
    app.button_group(key="place-score").set_value("iou").run()
    assert not app.exception


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """The pneumonia model with what an evaluation would have measured of its maps: no film is needed to show it."""
    folder = tmp_path / "pneumonia-measured"
    shutil.copytree(find_bundle("pneumonia"), folder)
    path = folder / "evaluation" / "kermany-test" / "metrics.json"
    metrics = read_metrics(path)
    there, elsewhere = (
        Located(True, True, 0.5, 0.5, 0.2, 0.1, box_iou=0.3),
        Located(False, False, 0, 0, 0.4, 0.1, False, 0),
    )
    own = summarise_localisation([there] * 9 + [elsewhere] * 3, [elsewhere] * 12)
    curves = np.linspace([3.0, 3.0], [-1.0, -1.0], 8).T[None].repeat(12, axis=0)
    curves[:, 0, 1:-1] -= 1
    tested = summarise_faithfulness(curves, -curves, np.array(["Pneumonia"] * 12), np.arange(12), "a blurred film")
    findings = metrics.findings | {"Pneumonia": replace(metrics.findings["Pneumonia"], localisation=own)}
    write_json(path, replace(metrics, findings=findings, localisation=own, faithfulness=tested).to_dict())
    return folder


def test_what_was_measured_of_the_maps_is_shown_without_a_film(measured: Path) -> None:
    app = open_page("localisation", model=str(measured))
    said = words(app)
    assert "as evaluated" in said
    assert "the maximum lies in the box on 75.0 %" in said
    assert "better than noise by 75.0 %" in said
    assert "Deletion: area -0.86 (-0.86 to -0.86) logits beside a random order, better on 100.0 %" in said
    assert len(charts(app)) == 3
    tables = [table.value.set_index("finding") for table in app.dataframe]
    assert tables[0].loc["Pneumonia", "random_hit"] == 0
    assert tables[1].loc["all", "deletion_difference"] == pytest.approx(-6 / 7)
    assert "This page needs films" in said


def _hits(folder: Path, finding: str) -> float:
    """Share of films whose brightest pixel lies in the box, recomputed from the library alone."""
    import cxrcore
    from cxrcore.datasets.phantoms import phantom_film

    model = cxrcore.load(folder)
    hits = []
    for box in read_boxes(folder / "evaluation" / "phantom-test"):
        if box.finding == finding:
            film = phantom_film(int(box.image[8:14]))
            heat = np.asarray(model.explain(film, finding))
            row, column = (index.mean() for index in np.nonzero(heat == heat.max()))
            hits.append(box.y <= row < box.y + box.height and box.x <= column < box.x + box.width)
    return float(np.mean(hits))


def test_a_table_has_no_network() -> None:
    table = PHANTOM / "evaluation" / "phantom-test" / "predictions.parquet"
    assert "Maps come from the network itself" in words(open_page("localisation", model=str(table)))


def test_films_have_to_be_given_for_a_model_of_real_ones() -> None:
    assert "This page needs films" in words(open_page("localisation", model="pneumonia"))


@pytest.mark.data
@pytest.mark.usefixtures("torch_loaded")
def test_real_boxes_from_the_folder_of_films(data_dir: Path, tmp_path: Path) -> None:
    listing = data_dir / "nih" / "BBox_List_2017.csv.gz"
    paths = {path.name: path for path in (data_dir / "nih").rglob("*.png")}
    marked = [box.image for box in read_boxes(listing) if box.finding == "Pneumonia" and box.image in paths]
    for name in marked[:11]:
        (tmp_path / name).symlink_to(paths[name])
    (tmp_path / listing.name).symlink_to(listing)
    app = open_page("localisation", model="pneumonia")
    app.text_input(key="films-folder-typed").input(str(tmp_path)).run()
    assert not app.exception
    app.button(key="place-compute").click().run()
    assert not app.exception
    assert "Pneumonia" in words(app)
    assert app.dataframe[0].value.set_index("finding").loc["Pneumonia", "films"] >= 10
