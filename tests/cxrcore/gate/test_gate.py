"""The input gate: what it refuses, what it names, what passes; the embedded gates on real pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

import cxrcore
from cxrcore.bundle.folder import GATE
from cxrcore.errors import InvalidBundle
from cxrcore.films.radiograph import Radiograph, read_radiograph
from cxrcore.gate.fitting import FEATURE_COMPONENTS, GateExamples, fit_gate, fit_view_network, with_films
from cxrcore.gate.input_gate import INVERTED, SIDE, TURNS, InputGate
from cxrcore.gate.negatives import KINDS, draw_negatives
from cxrcore.gate.reasons import NO_GATE, REASONS, Verdict, decided, joined, reasons_of
from cxrcore.models.classifier import Classifier
from cxrcore.models.opening import find_bundle
from cxrcore.phantom import draw_phantom


def film(pixels: np.ndarray, **more) -> Radiograph:
    return Radiograph(np.ascontiguousarray(pixels, np.float32), 8, 8, "PNG", **more)


@pytest.fixture(scope="module")
def phantom() -> Classifier:
    model = cxrcore.load("phantom")
    assert isinstance(model, Classifier)
    return model


@pytest.fixture(scope="module")
def drawn() -> list[np.ndarray]:
    return [draw_phantom(900 + n).pixels for n in range(12)]


def examples(rng: np.random.Generator, count: int, features: int = 40) -> GateExamples:
    """Vectors and small films that show what was done to each film, in noise."""
    chest, turn = rng.random(count) < 0.7, rng.integers(0, 4, count)
    flags = [rng.random(count) < 0.3 for _ in range(3)]
    vectors = rng.normal(size=(count, features))
    vectors[:, 0] += 6 * chest
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    upright, middle = 2 * rows + columns, 3 * np.exp(-6 * (rows**2 + columns**2))
    films = []
    for k, inverted, mirrored, cropped in zip(turn, *flags, strict=True):
        film = np.rot90(upright[:, ::-1] if mirrored else upright, k) + (-middle if inverted else middle)
        films.append(film + cropped * 2 * np.cos(12 * rows) * np.cos(12 * columns))
    small = rng.normal(size=(count, SIDE * SIDE)) + np.reshape(films, (count, -1))
    return GateExamples(small.astype(np.float32), turn, *flags, features=vectors.astype(np.float32), chest=chest)


def test_a_gate_learns_its_questions_and_survives_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, val, test = (examples(rng, n) for n in (1500, 500, 300))
    gate = fit_gate(train, fit_view_network(train), val)
    gate.write(tmp_path / GATE)
    verdicts = InputGate.read(tmp_path / GATE).judge(test.features, test.small, [set()] * 300)
    refused = np.array(["NOT_A_CHEST_XRAY" in verdict.reasons for verdict in verdicts])
    accepted = np.array([verdict.accepted for verdict in verdicts])
    assert accepted[~test.chest].mean() < 0.1
    assert refused[test.chest].mean() < 0.05
    turned = np.array(["ROTATED" in verdict.reasons for verdict in verdicts])
    assert turned[test.chest & ~refused & (test.turn > 0)].mean() > 0.9
    right = [(-verdict.turn) % 4 == turn for verdict, turn in zip(verdicts, test.turn, strict=True) if verdict.turn]
    assert np.mean(right) > 0.95


def test_a_turn_more_is_answered_as_a_turn_more_whatever_the_network_learned() -> None:
    rng = np.random.default_rng(8)
    train = examples(rng, 300)
    gate, some = fit_gate(train, fit_view_network(train), examples(rng, 200)), examples(rng, 50)
    films = some.small.reshape(-1, SIDE, SIDE)

    def views(changed: np.ndarray) -> np.ndarray:
        return gate.answers(some.features, changed.reshape(len(changed), -1)).views

    upright, left, mirrored = views(films), views(np.rot90(films, 1, (1, 2))), views(films[:, :, ::-1])
    assert left[:, TURNS] == pytest.approx(np.roll(upright[:, TURNS], 1, axis=1), abs=1e-4)
    assert mirrored[:, TURNS] == pytest.approx(upright[:, [0, 3, 2, 1]], abs=1e-4)
    assert left[:, INVERTED] == pytest.approx(upright[:, INVERTED], abs=1e-4)


def test_the_distance_is_mahalanobis_over_the_leading_components() -> None:
    """Oracle: scipy's, on the training films' own principal components."""
    rng = np.random.default_rng(1)
    train, val = examples(rng, 800, 20), examples(rng, 300, 20)
    gate = fit_gate(train, fit_view_network(train), val)
    own = train.features[train.upright].astype(np.float64)
    assert gate.tensors["feature_axes"].shape[1] == 20 < FEATURE_COMPONENTS  # all of them
    inverse = np.linalg.inv(np.cov(own.T))
    expected = [mahalanobis(row, own.mean(axis=0), inverse) / np.sqrt(20) for row in val.features]
    assert gate.answers(val.features, val.small).distance == pytest.approx(expected, rel=1e-3)


def test_a_sites_films_move_the_border_of_training_outwards_and_nothing_else() -> None:
    rng = np.random.default_rng(6)
    gate = fit_gate(examples(rng, 300), fit_view_network(examples(rng, 300)), examples(rng, 200))
    *others, border = gate.tensors["thresholds"].tolist()
    site = examples(rng, 250)
    site = site.where(site.upright)
    near = site.where(gate.answers(site.features, site.small).distance < border)
    assert with_films(gate, near.features, near.small).tensors["thresholds"].tolist() == [*others, border]
    moved = with_films(gate, 3 * site.features, site.small)
    expected = np.quantile(gate.answers(3 * site.features, site.small).distance, 0.99)
    assert expected > border
    assert moved.tensors["thresholds"].tolist() == pytest.approx([*others, expected], rel=1e-5)
    assert all(moved.tensors[name] is gate.tensors[name] for name in gate.tensors if name != "thresholds")


def test_a_gate_needs_films_and_other_pictures() -> None:
    some = examples(np.random.default_rng(2), 100)
    with pytest.raises(ValueError, match="no films"):
        fit_gate(some.where(some.chest), {}, some)


def test_drawn_pictures_are_the_same_for_a_seed_and_stay_in_range() -> None:
    first, again = draw_negatives(len(KINDS) * 3, 5), draw_negatives(len(KINDS) * 3, 5)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert all(picture.ndim == 2 and picture.min() >= 0 and picture.max() <= 1 for picture in first)


def test_what_the_file_alone_tells() -> None:
    film_like = draw_phantom(1).pixels
    assert reasons_of(film(film_like)) == set()
    assert reasons_of(film(film_like[:100, :100])) == {"LOW_RESOLUTION"}
    assert reasons_of(film(np.round(film_like * 20) / 20)) == {"BIT_DEPTH_LOST"}
    assert "NOT_A_CHEST_XRAY" in reasons_of(film(np.full((300, 300), 0.4)))
    assert reasons_of(film(film_like, view="LL")) == {"LATERAL_VIEW"}


def test_refusals_come_first_and_decide() -> None:
    verdict = decided({"MIRRORED", "ROTATED"}, turn=1)
    assert (verdict.accepted, verdict.reasons, verdict.turn) == (False, ("ROTATED", "MIRRORED"), 1)
    assert decided({"LOW_RESOLUTION"}, turn=1) == Verdict(True, ("LOW_RESOLUTION",))
    assert joined([NO_GATE, NO_GATE]) == NO_GATE
    assert joined([NO_GATE, decided(set()), verdict]).to_dict()["reasons"] == ["ROTATED", "MIRRORED"]


def test_a_corrected_film_is_as_it_was(drawn) -> None:
    upright = film(drawn[0])
    spoilt = film(np.rot90(1 - drawn[0], 1))
    assert spoilt.corrected(turn=3, invert=True).pixels == pytest.approx(upright.pixels, abs=1e-6)
    assert spoilt.corrected(invert=True).inverted


def test_drawn_films_pass_and_spoilt_ones_are_named(phantom, drawn) -> None:
    ways = {
        (): lambda pixels: pixels,
        ("ROTATED",): lambda pixels: np.rot90(pixels, 2),
        ("INVERTED",): lambda pixels: 1 - pixels,
    }
    for expected, spoil in ways.items():
        verdicts = [prediction.gate for prediction in phantom.predict_batch([film(spoil(pixels)) for pixels in drawn])]
        right = [
            set(expected) <= set(verdict.reasons) and verdict.accepted is not bool(expected) for verdict in verdicts
        ]
        assert np.mean(right) >= 0.9, expected


def test_pictures_of_other_things_are_refused_and_still_get_numbers(phantom) -> None:
    predictions = phantom.predict_batch([film(picture) for picture in draw_negatives(24, seed=77)])
    assert np.mean([prediction.gate.accepted is False for prediction in predictions]) > 0.9
    answer = predictions[0].to_dict()
    assert set(answer["gate"]["reasons"]) <= set(REASONS)
    assert set(answer["probabilities"]) == set(phantom.labels)


def test_a_damaged_gate_or_another_networks_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(find_bundle("phantom"), folder)
    (folder / GATE).write_bytes(b"no tensors")
    with pytest.raises(InvalidBundle, match="damaged"):
        cxrcore.load(folder).predict(draw_phantom(1).film)
    shutil.copy(find_bundle("nih14") / GATE, folder / GATE)
    with pytest.raises(InvalidBundle, match="another network"):
        cxrcore.load(folder).predict(draw_phantom(1).film)


def test_a_model_without_a_gate_says_nothing(tmp_path: Path) -> None:
    shutil.copytree(find_bundle("phantom"), tmp_path / "model")
    (tmp_path / "model" / GATE).unlink()
    gate = cxrcore.load(tmp_path / "model").predict(draw_phantom(1).film).to_dict()["gate"]
    assert (gate["accepted"], gate["reasons"]) == (None, [])


@pytest.mark.parametrize("task", ["nih14", "pneumonia"])
def test_real_films_pass_and_other_body_parts_do_not(task: str, data_dir: Path) -> None:
    """On films and pictures at hand; ``benchmarks.gate`` measures kinds that the gate was not fitted on."""
    own = {"nih14": data_dir / "nih/images-1024", "pneumonia": data_dir / "kermany/chest_xray/train/NORMAL"}[task]
    films, others = sorted(own.iterdir())[:24], sorted((data_dir / "not-chest/Hand").glob("*"))[:24]
    model = cxrcore.load(task)
    accepted = [[model.predict(read_radiograph(path)).gate.accepted for path in paths] for paths in (films, others)]
    assert np.mean(accepted[0]) >= 0.9
    assert np.mean(accepted[1]) <= 0.05
