"""A bundle opens the same everywhere, or says in one sentence why not. Oracle: plain timm."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import cxrcore
from cxrcore.bundle.calibrators import PlattScaling, Temperature
from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import export_bundle, read_config, write_config
from cxrcore.errors import BundleNotFound, InvalidBundle
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import NIH14, PNEUMONIA2, PNEUMONIA3
from cxrcore.metrics.operating_points import OperatingPoints


@pytest.fixture
def bundle(make_bundle) -> Path:
    return make_bundle("resnet18", PNEUMONIA2)


def film(seed: int = 0) -> cxrcore.Radiograph:
    return cxrcore.Radiograph(np.random.default_rng(seed).random((70, 50), dtype=np.float32), 8, 8, "PNG")


def edit(bundle: Path, change) -> None:
    data = json.loads((bundle / "config.json").read_text())
    change(data)
    (bundle / "config.json").write_text(json.dumps(data))


@pytest.mark.parametrize(("architecture", "channels"), [("resnet18", 1), ("densenet121", 3), ("efficientnet_b0", 1)])
def test_plain_timm_gives_equal_logits(architecture, channels, make_bundle):
    folder = make_bundle(architecture, NIH14, channels=channels)
    ours: Any = cxrcore.load(folder, device="cpu", dtype=torch.float32)
    inputs = ours.tensor(film())
    theirs: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert inputs.shape == (1, channels, 64, 64)
    assert inputs.dtype == torch.float32
    with torch.inference_mode():
        assert torch.equal(theirs(inputs), ours.network(inputs))
        assert torch.allclose(theirs(inputs), ours.forward(inputs)[0], atol=1e-5)
    assert list(theirs.pretrained_cfg["label_names"]) == list(NIH14)


def test_weights_are_half_precision_safetensors_and_nothing_else(bundle):
    assert (bundle / "model.safetensors").stat().st_mode == (bundle / "config.json").stat().st_mode
    assert {path.name for path in bundle.iterdir()} == {"config.json", "model.safetensors"}
    floats = {t.dtype for t in load_file(bundle / "model.safetensors").values() if t.is_floating_point()}
    assert floats == {torch.float16}


def test_config_survives_its_own_json(tmp_path):
    config = BundleConfig(
        "full",
        "resnet18",
        NIH14,
        Preprocessing(96, 80, 3, "letterbox", "equalise", 0.4, 0.2),
        calibration=PlattScaling(np.full(14, 1.5), np.linspace(-1, 1, 14), {3: "too few"}),
        operating_points=OperatingPoints(NIH14.names, np.linspace(0.1, 0.9, 14), "val"),
        evidence_levels=dict.fromkeys(NIH14, 0.5) | {"Hernia": None},
        map_ceilings=dict.fromkeys(NIH14, 7.0),
        provenance={"dataset": "none"},
    )
    write_config(tmp_path, config)
    assert read_config(tmp_path).to_dict() == config.to_dict()


def test_names_and_folders_open_and_strangers_are_told_what_there_is(bundle):
    assert cxrcore.load(str(bundle)).name == "resnet18"
    with pytest.raises(BundleNotFound, match="embedded models") as error:
        cxrcore.load("/somewhere/secret/model-x")
    assert "secret" not in str(error.value)
    with pytest.raises(BundleNotFound, match=r"no config\.json"):
        cxrcore.load(bundle.parent)


def damage(bundle: Path, change) -> None:
    tensors = load_file(bundle / "model.safetensors")
    change(tensors)
    save_file(tensors, bundle / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("layer1.0.conv1.weight"), "missing layer1.0.conv1.weight"),
        (lambda t: t.update(stray=torch.zeros(1)), "unexpected stray"),
        (lambda t: t.update({"fc.bias": torch.zeros(3)}), r"fc.bias is \(3,\) instead of \(2,\)"),
        (lambda t: t.update({"fc.bias": torch.full((2,), torch.nan)}), "fc.bias holds values that are not finite"),
        (lambda t: [t.pop(k) for k in list(t) if k.startswith("layer4")], "and 2. more|and 3. more"),
    ],
)
def test_tensors_that_do_not_fit_are_named(bundle, change, said):
    damage(bundle, change)
    with pytest.raises(InvalidBundle, match=said):
        cxrcore.load(bundle)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["cxrcore"].update(schema=99), "schema version 99 and this program reads 1"),
        (lambda d: d.pop("cxrcore"), "no cxrcore section"),
        (lambda d: d.update(num_classes=5), "5 outputs .* 2 findings"),
        (lambda d: d["cxrcore"].pop("labels"), "incomplete"),
        (lambda d: d["cxrcore"]["preprocessing"].update(sharpen=1), "sharpen"),
        (lambda d: d.update(architecture="resnet0"), "timm cannot build 'resnet0'"),
        (lambda d: d["cxrcore"].update(calibration={"method": "guess"}), "guess"),
        (lambda d: d["cxrcore"]["evidence_levels"].update(Gout=1.0), "Gout"),
        (
            lambda d: d["cxrcore"].update(
                operating_points=OperatingPoints(PNEUMONIA3.names, np.full(3, 0.5), "val").to_dict()
            ),
            "not for its own findings",
        ),
        (lambda d: d["cxrcore"].update(triage={"Mass": {"present": {"patients": 9}}}), "malformed: 'extremes'"),
        (lambda d: d["cxrcore"].update(triage={}), "three answers are not for its own findings"),
    ],
)
def test_configs_that_do_not_fit_are_named(bundle, change, said):
    edit(bundle, change)
    with pytest.raises(InvalidBundle, match=said):
        cxrcore.load(bundle)


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not safetensors at all"])
def test_corrupt_weights(bundle, content):
    (bundle / "model.safetensors").write_bytes(content)
    with pytest.raises(InvalidBundle, match="damaged; fetch the bundle again"):
        cxrcore.load(bundle)


def test_truncated_weights_and_unreadable_config(bundle):
    whole = (bundle / "model.safetensors").read_bytes()
    (bundle / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidBundle, match="damaged"):
        cxrcore.load(bundle)
    (bundle / "config.json").write_text("{")
    with pytest.raises(InvalidBundle, match="cannot be read"):
        cxrcore.load(bundle)
    (bundle / "config.json").write_text("[]")
    with pytest.raises(InvalidBundle, match="not an object"):
        cxrcore.load(bundle)


def test_multilabel_probabilities_are_platt_scaled_sigmoids(make_bundle):
    calibration = PlattScaling(np.full(14, 2.0), np.full(14, -0.3))
    points = OperatingPoints(NIH14.names, np.r_[np.zeros(7), np.ones(7)], "val")
    model = cxrcore.load(make_bundle("resnet18", NIH14, calibration=calibration, operating_points=points))
    prediction = model.predict(film())
    for name in NIH14:
        expected = 1 / (1 + np.exp(-(2 * prediction.logits[name] - 0.3)))
        assert prediction.probabilities[name] == pytest.approx(expected, abs=1e-6)
    assert list(prediction.probabilities) == list(NIH14)
    assert list(prediction.positive.values()) == [True] * 7 + [False] * 7
    json.dumps(prediction.to_dict(), allow_nan=False)


def test_two_classes_are_decided_by_the_disease_and_three_by_the_winner(make_bundle):
    points = OperatingPoints(PNEUMONIA2.names, np.array([1.0, 0.0]), "val")
    two = cxrcore.load(make_bundle("resnet18", PNEUMONIA2, operating_points=points, calibration=Temperature(3.0)))
    assert two.predict(film()).positive == {"Normal": False, "Pneumonia": True}
    three = cxrcore.load(make_bundle("resnet18", PNEUMONIA3)).predict(film())
    winner = max(three.probabilities, key=three.probabilities.get)
    assert three.positive == {name: name == winner for name in PNEUMONIA3}
    assert sum(three.probabilities.values()) == pytest.approx(1)


def test_batches_answer_as_single_films_do(bundle):
    model = cxrcore.load(bundle, dtype=torch.float32)
    films = [film(seed) for seed in range(5)]
    together = model.predict_batch(films)
    for one, prediction in zip(films, together, strict=True):
        assert model.predict(one).probabilities == pytest.approx(prediction.probabilities, abs=1e-5)
        assert model.analyse(one).prediction.probabilities == pytest.approx(prediction.probabilities, abs=1e-5)


def test_film_warnings_reach_the_answer(bundle):
    warned = replace(film(), warnings=("Very small.",))
    assert cxrcore.load(bundle).predict(warned).to_dict()["warnings"] == ["Very small."]


def test_precision_can_be_asked_for(bundle, monkeypatch):
    monkeypatch.setenv("CXR_DTYPE", "float32")
    load: Any = cxrcore.load
    assert load(bundle).dtype is torch.float32
    monkeypatch.setenv("CXR_DTYPE", "bfloat16")
    assert load(bundle).dtype is torch.bfloat16
    monkeypatch.setenv("CXR_DTYPE", "int4")
    with pytest.raises(cxrcore.CxrError, match="float32 or bfloat16"):
        cxrcore.load(bundle)


def test_precision_follows_the_cpu():
    from cxrcore.models.precision import cpu_has_bfloat16

    assert cpu_has_bfloat16("flags : fpu avx512f amx_bf16 amx_tile")
    assert not cpu_has_bfloat16("flags : fpu avx2 avx512f")
    assert not cpu_has_bfloat16("")


def test_export_leaves_films_tables_and_checkpoints_behind(toy_run, tmp_path):
    export_bundle(toy_run, tmp_path / "out")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert "evaluation/kermany-test/metrics.json" in names
    assert not any("parquet" in name or "split" in name or "checkpoint" in name for name in names)
    assert cxrcore.load(tmp_path / "out").labels == cxrcore.load(toy_run).labels
