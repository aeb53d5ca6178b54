"""A model that no longer answers as it did where it was made is found out."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import cxrcore
from cxrcore.bundle.folder import GOLDEN, export_bundle
from cxrcore.findings import NIH14, PNEUMONIA2
from cxrcore.models.golden import self_test, write_golden
from cxrcore.publishing.ensemble import make_ensemble

load: Any = cxrcore.load  # a classifier here


@pytest.fixture
def bundle(make_bundle) -> Path:
    folder = make_bundle("resnet10t", NIH14, test_time_augmentation="flip")
    write_golden(load(folder), folder)
    return folder


def test_a_model_as_it_was_made_passes(bundle):
    result = self_test(cxrcore.load(bundle, device="cpu", dtype=torch.float32))
    assert (result.passed, result.films, result.fast_difference) == (True, 3, None)
    assert result.largest_difference < 1e-5


def test_bfloat16_has_a_looser_limit_and_float32_is_checked_all_the_same(bundle):
    result = self_test(cxrcore.load(bundle, device="cpu", dtype=torch.bfloat16))
    assert result.passed
    assert result.largest_difference < 1e-5 < result.fast_difference
    assert "bfloat16" in result.why


def test_golden_outputs_are_plain_numbers_of_seeded_phantoms(bundle):
    golden = json.loads((bundle / GOLDEN).read_text())
    assert [film["findings"] for film in golden["films"]] == [[], ["Consolidation"], ["Effusion", "Cardiomegaly"]]
    assert all(list(film["logits"]) == list(NIH14) for film in golden["films"])


def test_other_weights_are_found_out(bundle):
    tensors = load_file(bundle / "model.safetensors")
    tensors["fc.bias"] += 0.01
    save_file(tensors, bundle / "model.safetensors")
    result = self_test(cxrcore.load(bundle))
    assert result.passed is False
    assert result.largest_difference == pytest.approx(0.01, abs=2e-3)
    assert "are allowed" in result.why


def test_another_preprocessing_is_found_out(bundle):
    data = json.loads((bundle / "config.json").read_text())
    data["cxrcore"]["preprocessing"]["geometry"] = "letterbox"
    (bundle / "config.json").write_text(json.dumps(data))
    assert self_test(cxrcore.load(bundle)).passed is False


def test_nothing_to_compare_with_is_said(make_bundle):
    result = self_test(cxrcore.load(make_bundle("resnet10t", PNEUMONIA2)))
    assert (result.passed, result.largest_difference, result.films) == (None, None, 0)
    assert "no golden outputs" in result.why


@pytest.mark.parametrize("content", ["{", "[]", '{"films": []}', '{"films": [{"seed": 1, "findings": ["Gout"]}]}'])
def test_damaged_golden_outputs_fail_in_words(bundle, content):
    (bundle / GOLDEN).write_text(content)
    result = self_test(cxrcore.load(bundle))
    assert result.passed is False
    assert "cannot be read" in result.why


def test_exports_carry_them_and_ensembles_ask_every_member(bundle, make_bundle, tmp_path):
    export_bundle(bundle, tmp_path / "out")
    assert self_test(cxrcore.load(tmp_path / "out")).passed
    other = make_bundle("resnet18", NIH14)
    write_golden(load(other), other)
    make_ensemble([bundle, other], tmp_path / "pair")
    result = self_test(cxrcore.load(tmp_path / "pair"))
    assert (result.passed, result.films) == (True, 3)
    assert "resnet18: " in result.why
    shutil.rmtree(tmp_path / "pair" / "members" / "resnet18" / "evaluation")
    assert self_test(cxrcore.load(tmp_path / "pair")).passed is None
