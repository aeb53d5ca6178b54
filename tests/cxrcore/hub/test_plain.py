"""Repositories on the Hub that are not ours: a plain timm classifier opens where it says enough of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cxrcore
from cxrcore.errors import InvalidBundle
from tests.hub import Hub
from tests.hub.fixtures import REPO, contents


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RGB classifier as timm itself saves one for the Hub."""
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=3)
    cfg = {"input_size": [3, 96, 96], "mean": [0.4, 0.5, 0.6]}
    said = {"num_classes": 3, "label_names": ["Normal", "COVID", "Other"], "pretrained_cfg": cfg}
    folder = tmp_path_factory.mktemp("plain")
    save_for_hf(network, str(folder), model_config=said, safe_serialization=True)
    return folder


def test_a_plain_timm_classifier_opens_and_answers_as_timms_own_pipeline(hub: Hub, plain: Path, film) -> None:
    import timm
    import torch
    from PIL import Image

    hub.add(REPO, contents(plain))
    model: Any = cxrcore.load(REPO, device="cpu", dtype=torch.float32)
    assert list(model.labels) == ["Normal", "COVID", "Other"]
    assert model.labels.normal == "Normal"
    assert "not calibrated" in model.info["provenance"]["note"]
    theirs = timm.create_model(f"local-dir:{plain}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(theirs))
    picture = Image.fromarray(np.rint(film.pixels * 255).astype(np.uint8)).convert("RGB")
    inputs = transform(picture)[None]
    assert model.tensor(film).shape == inputs.shape == (1, 3, 96, 96)
    assert (model.tensor(film) - inputs).abs().max() < 2 / 255 / 0.224  # timm rounds to 8 bits, before and after
    with torch.inference_mode():
        expected = theirs(inputs).softmax(1)[0].numpy()
    analysis = model.analyse(film)
    assert list(analysis.prediction.probabilities.values()) == pytest.approx(expected.tolist(), abs=0.005)
    assert set(analysis.prediction.thresholds.values()) == {None}
    heat = np.asarray(analysis.heatmaps["COVID"])
    assert heat.shape == film.pixels.shape
    assert not heat[:5].any()  # the edge it never saw


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("label_names", "'tester/film' is no bundle of this project, and its config.json does not say its labels"),
        ("mean", "does not say its mean (mean)"),
    ],
)
def test_a_plain_classifier_that_says_too_little(hub: Hub, plain: Path, missing: str, said: str) -> None:
    config = json.loads((plain / "config.json").read_text())
    del (config if missing in config else config["pretrained_cfg"])[missing]
    hub.add(REPO, contents(plain) | {"config.json": json.dumps(config).encode()})
    with pytest.raises(InvalidBundle) as raised:
        cxrcore.load(REPO)
    print(raised.value)
    assert said in str(raised.value)
