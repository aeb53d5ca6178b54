"""Several models as one, and one model that looks twice. Oracle: the members by themselves, and arithmetic."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cxrcore
from cxrcore.bundle.calibrators import PlattScaling
from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import export_bundle, read_config, weights_digest
from cxrcore.errors import BundleNotFound, CxrError, InvalidBundle, LabelMismatch
from cxrcore.explain.resampling import cell_means
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import NIH14, NIH15, PNEUMONIA2, PNEUMONIA3, Kind, LabelSet
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.models.ensemble import Ensemble
from cxrcore.publishing.ensemble import make_ensemble
from train.predict import Wanted, predict_films

LETTERBOX = Preprocessing(96, 96, geometry="letterbox", intensity="stretch")


@pytest.fixture(scope="module")
def film() -> cxrcore.Radiograph:
    rng = np.random.default_rng(0)
    return cxrcore.Radiograph(rng.random((90, 140), dtype=np.float32), 8, 8, "PNG", warnings=("Small.",))


@pytest.fixture(scope="module")
def folders(make_bundle) -> list[Path]:
    """Two members of other architectures, sizes, geometries, calibrations and colour scales."""
    points = OperatingPoints(NIH14.names, np.full(14, 0.5), "val")
    platt = PlattScaling(np.full(14, 2.0), np.full(14, -0.3))
    extras = {"operating_points": points, "evidence_levels": dict.fromkeys(NIH14, 0.1)}
    one = make_bundle("resnet18", NIH14, size=64, map_ceilings=dict.fromkeys(NIH14, 2.0), **extras)
    ceilings = dict.fromkeys(NIH14, 4.0)
    other = make_bundle("efficientnet_b0", NIH14, preprocessing=LETTERBOX, calibration=platt, map_ceilings=ceilings)
    return [one, other]


@pytest.fixture(scope="module")
def folder(folders, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "pair"
    make_ensemble(folders, out)
    return out


@pytest.fixture(scope="module")
def ensemble(folder) -> Ensemble:
    ensemble = cxrcore.load(folder, device="cpu", dtype=torch.float32)
    assert isinstance(ensemble, Ensemble)
    return ensemble


@pytest.fixture(scope="module")
def members(folders) -> list[Any]:
    return [cxrcore.load(path, device="cpu", dtype=torch.float32) for path in folders]


def test_probabilities_are_the_members_mean(ensemble, members, film):
    alone = [member.predict(film) for member in members]
    together = ensemble.predict(film)
    for name in NIH14:
        assert together.probabilities[name] == pytest.approx(np.mean([a.probabilities[name] for a in alone]), abs=1e-6)
        assert together.logits[name] == pytest.approx(np.mean([a.logits[name] for a in alone]), abs=1e-5)
    assert together.warnings == ("Small.",)
    assert ensemble.analyse(film).prediction.probabilities == pytest.approx(together.probabilities, abs=1e-6)
    prepared = [ensemble.prepare(film)] * 3
    assert len(ensemble.predict_prepared(prepared, [()] * 3, [set()] * 3)) == 3
    logits, probabilities = ensemble.score(prepared)
    assert logits.shape == probabilities.shape == (3, 14)


def test_an_ensemble_has_no_thresholds_and_no_evidence_levels_of_its_own(ensemble, film):
    prediction = ensemble.predict(film)
    assert set(prediction.positive.values()) == set(prediction.thresholds.values()) == {None}
    heat = ensemble.explain(film, "Mass")
    assert (heat.evidence, heat.evidence_level) == (None, None)
    assert heat.ceiling == 3.0
    json.dumps([prediction.to_dict(), heat.to_dict()], allow_nan=False)


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_mean_and_bias_of_a_map_give_the_mean_logit(method, ensemble, members, film):
    alone = [member.predict(film).logits for member in members]
    heatmaps = ensemble.explain_all(film, method)
    for name in NIH14:
        expected = np.mean([logits[name] for logits in alone])
        heat = heatmaps[name]
        assert heat.signed.mean(dtype=np.float64) + heat.bias == pytest.approx(expected, abs=1e-5)
    assert heat.signed.shape == (3, 3)  # the finest member's
    assert np.asarray(heat).shape == film.pixels.shape


def test_biases_are_the_members_where_no_film_is_letterboxed(make_bundle, film, tmp_path):
    folders = [make_bundle("resnet18", PNEUMONIA3, size=64), make_bundle("efficientnet_b0", PNEUMONIA3, size=160)]
    make_ensemble(folders, tmp_path / "out")
    pair: Any = cxrcore.load(tmp_path / "out", dtype=torch.float32)
    for name in PNEUMONIA3:
        alone = [member.explain(film, name) for member in pair.members]
        assert pair.explain(film, name).bias == pytest.approx(np.mean([heat.bias for heat in alone]), abs=1e-6)
    answer = pair.predict(film)
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    winner = max(answer.probabilities, key=answer.probabilities.get)
    assert answer.positive[winner] is True  # which needs no threshold


@pytest.mark.parametrize(("cells", "targets"), [(2, 7), (5, 7), (7, 5), (4, 4), (1, 3)])
def test_resampling_keeps_means_and_flat_maps_and_the_side_things_lie_on(cells, targets):
    matrix = cell_means(cells, targets)
    assert np.allclose(matrix.sum(1), 1)
    assert np.allclose(matrix.sum(0), targets / cells)
    centres = matrix @ (np.arange(cells) + 0.5) / cells
    assert (np.diff(centres) > 0).all() or cells == 1
    fine = np.linspace(0, cells, 20_000 * targets + 1)
    values = np.random.default_rng(0).random(cells)
    curve = np.interp((fine[1:] + fine[:-1]) / 2, np.arange(cells) + 0.5, values)
    assert np.allclose(matrix @ values, curve.reshape(targets, -1).mean(1), atol=1e-6)


def test_only_what_lies_on_the_film_is_drawn_there():
    """A letterboxed member saw something in its lower half alone: on a wide film that is the film's lower half too."""
    signed = np.zeros((8, 8), np.float32)
    signed[4:] = 1
    wide = cxrcore.Heatmap("Mass", "gradcam", signed, (50, 100), LETTERBOX, "logit", 0.5)
    from cxrcore.explain.resampling import mean_heatmap

    film = cxrcore.Radiograph(np.zeros((50, 100), np.float32), 8, 8, "PNG")
    heat = mean_heatmap([wide, wide], film)
    assert heat.signed[0].max() < heat.signed[-1].min()
    assert heat.signed.mean() == pytest.approx(0.25, abs=1e-6)  # half of the film, which is half of the input
    assert heat.target == pytest.approx(1.0, abs=1e-6)


def test_maps_without_a_unit_stay_without(ensemble, film):
    for method in ("layercam", "eigencam", "random"):
        heat = ensemble.explain(film, "Mass", method)
        assert (heat.scale, heat.bias, heat.ceiling) == (None, None, None)
        assert heat.signed.shape == (3, 3)
        assert np.abs(heat.signed).max() <= 1
    with pytest.raises(LabelMismatch):
        ensemble.explain(film, "Broken rib")
    with pytest.raises(CxrError, match="eigencam"):
        ensemble.explain(film, "Mass", "scorecam")


def test_the_folder_says_who_is_in_it(folder, ensemble, folders):
    info = ensemble.info
    assert [member["architecture"] for member in info["members"]] == ["resnet18", "efficientnet_b0"]
    assert [member["weights"] for member in info["provenance"]["members"]] == [weights_digest(f) for f in folders]
    assert ensemble.id == f"pair@{weights_digest(folder)}"
    assert ensemble.passes == 2
    assert {path.name for path in (folder / "members").iterdir()} == {"resnet18", "efficientnet_b0"}
    assert "mean of their calibrated probabilities" in (folder / "README.md").read_text()


def test_copies_leave_films_tables_and_checkpoints_behind(folders, folder, tmp_path):
    (folders[0] / "training").mkdir(exist_ok=True)
    (folders[0] / "training" / "split.csv").write_text("image,patient_id,split\n")
    make_ensemble(folders, tmp_path / "out")
    export_bundle(tmp_path / "out", tmp_path / "again")
    assert not list((tmp_path / "again").rglob("split.csv"))
    assert weights_digest(tmp_path / "again") == weights_digest(folder)


def test_the_command_line_reads_films_with_an_ensemble(folder, tmp_path, capsys):
    from PIL import Image

    path = tmp_path / "film.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (80, 90), np.uint8)).save(path)
    (tmp_path / "broken.png").write_bytes(b"no film")
    assert predict_films(str(folder), [str(tmp_path)], Wanted(as_json=True, heatmap_folder=tmp_path / "maps")) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "error" in lines[0]
    assert set(lines[1]["probabilities"]) == set(NIH14)
    assert len(list((tmp_path / "maps").glob("film-*.png"))) == 14


def other_order() -> LabelSet:
    return LabelSet("turned", Kind.MULTILABEL, NIH14.findings[::-1])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (lambda: NIH15, "only the second knows No Finding"),
        (lambda: PNEUMONIA2, "one is multilabel and the other multiclass"),
        (other_order, "another order"),
    ],
)
def test_other_findings_cannot_be_averaged(labels, said, folders, make_bundle, tmp_path):
    with pytest.raises(LabelMismatch, match=said):
        make_ensemble([folders[0], make_bundle("resnet10t", labels())], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_ensemble_is_refused_in_words(folders, folder, tmp_path):
    with pytest.raises(CxrError, match="two bundles or more"):
        make_ensemble(folders[:1], tmp_path / "out")
    with pytest.raises(CxrError, match="itself an ensemble"):
        make_ensemble([folder, folders[0]], tmp_path / "out")
    with pytest.raises(CxrError, match="the same weights"):
        make_ensemble([folders[0], folders[0]], tmp_path / "out")
    with pytest.raises(CxrError, match="in use"):
        make_ensemble(folders, folder)
    with pytest.raises(BundleNotFound):
        make_ensemble([folders[0], "no-such-model"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda section: section.update(members=["resnet18", "../../elsewhere"]), "in its members folder"),
        (lambda section: section.update(members=["resnet18"]), "two or more"),
        (lambda section: section.update(members=["resnet18", "lost"]), "lacks its member 'lost'"),
        (lambda section: section.update(labels=PNEUMONIA2.to_dict()), "does not fit ensemble"),
        (lambda section: section.pop("members"), "incomplete"),
        (lambda section: section.update(schema=9), "schema version 9"),
    ],
)
def test_ensembles_that_do_not_fit_together_are_named(change, said, folders, tmp_path):
    make_ensemble(folders, tmp_path / "out")
    data = json.loads((tmp_path / "out" / "config.json").read_text())
    change(data["cxrcore"])
    (tmp_path / "out" / "config.json").write_text(json.dumps(data))
    with pytest.raises(InvalidBundle, match=said):
        cxrcore.load(tmp_path / "out")


def test_looking_twice_averages_the_film_and_its_mirror_image(make_bundle, film):
    plain = cxrcore.load(make_bundle("resnet18", NIH14), dtype=torch.float32)
    twice = cxrcore.load(make_bundle("resnet18", NIH14, test_time_augmentation="flip"), dtype=torch.float32)
    mirror = cxrcore.Radiograph(np.ascontiguousarray(film.pixels[:, ::-1]), 8, 8, "PNG")
    one, other, both = plain.analyse(film), plain.analyse(mirror), twice.analyse(film)
    for name in NIH14:
        expected = (one.prediction.logits[name] + other.prediction.logits[name]) / 2
        assert both.prediction.logits[name] == pytest.approx(expected, abs=1e-4)
        assert both.prediction.probabilities[name] == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-4)
        signed = (one.heatmaps[name].signed + other.heatmaps[name].signed[:, ::-1]) / 2
        assert np.abs(both.heatmaps[name].signed - signed).max() < 1e-3
        assert both.heatmaps[name].target == pytest.approx(both.prediction.logits[name], abs=1e-4)
    assert (plain.passes, twice.passes) == (1, 2)
    close = twice.explain(film, "Mass", "hirescam").signed - both.heatmaps["Mass"].signed
    assert np.abs(close).max() < 1e-3
    assert twice.predict(mirror).logits == pytest.approx(twice.predict(film).logits, abs=1e-4)


def test_bundles_from_before_looking_twice_look_once(make_bundle):
    folder = make_bundle("resnet10t", PNEUMONIA2)
    data = json.loads((folder / "config.json").read_text())
    data["cxrcore"].pop("test_time_augmentation")
    assert BundleConfig.from_dict(data).test_time_augmentation == "none"
    data["cxrcore"]["test_time_augmentation"] = "rotate"
    (folder / "config.json").write_text(json.dumps(data))
    with pytest.raises(InvalidBundle, match="'rotate'; there is none, flip"):
        read_config(folder)
