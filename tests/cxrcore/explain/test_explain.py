"""Maps that can be checked. Oracle: pytorch-grad-cam on the layers its users name; arithmetic for the logit scale."""

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import cxrcore
from cxrcore.errors import CxrError, LabelMismatch
from cxrcore.explain.class_activation import linear_head
from cxrcore.explain.heatmap import evidence_levels, map_ceilings, strengths
from cxrcore.explain.overlay import BLUES, INFERNO, draw_overlay
from cxrcore.findings import NIH14, PNEUMONIA2, PNEUMONIA3
from cxrcore.resources import ASSETS

LAST_LAYER = {
    "resnet18": lambda net: net.layer4[-1],
    "densenet121": lambda net: net.features.norm5,
    "efficientnet_b0": lambda net: net.bn2,
    "efficientnet_b3": lambda net: net.bn2,
}
ORACLES = {
    "gradcam": GradCAM,
    "gradcam++": GradCAMPlusPlus,
    "layercam": LayerCAM,
    "hirescam": HiResCAM,
    "eigencam": EigenCAM,
}


@pytest.fixture(scope="module")
def film() -> cxrcore.Radiograph:
    rng = np.random.default_rng(0)
    return cxrcore.Radiograph(rng.random((90, 120), dtype=np.float32), 8, 8, "PNG")


@pytest.fixture(scope="module")
def open_model(make_bundle):
    cache = {}

    def open_(architecture, labels=NIH14):
        key = architecture, labels.name
        if key not in cache:
            cache[key] = cxrcore.load(make_bundle(architecture, labels), device="cpu", dtype=torch.float32)
        return cache[key]

    return open_


def oracle_map(model, film, column: int, method: str) -> np.ndarray:
    """pytorch-grad-cam's map of one output, after its ReLU, before its scaling and resize."""
    layer = LAST_LAYER[model.config.architecture](model.network)
    model.network.requires_grad_(True)
    try:
        with ORACLES[method](model.network, [layer]) as cam:
            inputs, targets = model.tensor(film), [ClassifierOutputTarget(column)]
            cam(inputs, targets)
            activations = cam.activations_and_grads.activations[0].numpy()
            gradients = cam.activations_and_grads.gradients
            gradients = gradients[0].numpy() if gradients else None
            return np.maximum(cam.get_cam_image(inputs, layer, targets, activations, gradients, False)[0], 0)
    finally:
        model.network.requires_grad_(False)


def to_unit(values: np.ndarray) -> np.ndarray:
    values = np.maximum(values, 0)
    return values / values.max() if values.max() > 0 else values


@pytest.mark.parametrize("architecture", LAST_LAYER)
def test_closed_form_equals_pytorch_grad_cam(architecture, open_model, film):
    model = open_model(architecture)
    assert model.one_pass
    heatmaps = model.explain_all(film)
    for finding in ("Atelectasis", "Nodule", "Hernia"):
        expected = oracle_map(model, film, NIH14.index(finding), "gradcam")
        assert np.abs(to_unit(heatmaps[finding].signed) - to_unit(expected)).max() < 1e-4


@pytest.mark.parametrize("architecture", LAST_LAYER)
def test_mean_plus_bias_is_the_logit(architecture, open_model, film):
    model = open_model(architecture)
    with torch.inference_mode():
        logits = model.network(model.tensor(film))[0].numpy()
    analysis = model.analyse(film)
    for column, name in enumerate(NIH14):
        assert analysis.heatmaps[name].target == pytest.approx(logits[column], abs=1e-4)
        assert analysis.prediction.logits[name] == pytest.approx(logits[column], abs=1e-4)


@pytest.mark.parametrize("labels", [PNEUMONIA2, PNEUMONIA3])
def test_multiclass_target_is_the_logit_minus_the_others_mean(labels, open_model, film):
    model = open_model("resnet18", labels)
    logits = model.network(model.tensor(film))[0].numpy()
    for method in ("gradcam", "hirescam"):
        for column, name in enumerate(labels):
            expected = logits[column] - np.delete(logits, column).mean()
            assert model.explain(film, name, method).target == pytest.approx(expected, abs=1e-4)


def test_bfloat16_maps_still_add_up_to_their_own_logits(make_bundle, film):
    model = cxrcore.load(make_bundle("resnet18", NIH14), device="cpu", dtype=torch.bfloat16)
    analysis = model.analyse(film)
    for name in NIH14:
        assert analysis.heatmaps[name].target == pytest.approx(analysis.prediction.logits[name], abs=1e-4)


@pytest.mark.parametrize("method", ORACLES)
def test_other_methods_equal_pytorch_grad_cam(method, open_model, film):
    model = open_model("resnet18")
    found = model.explain(film, "Mass", method)
    expected = oracle_map(model, film, NIH14.index("Mass"), method)
    assert np.abs(to_unit(found.signed) - to_unit(expected)).max() < 1e-4
    assert found.scale == ("logit" if method in ("gradcam", "hirescam") else None)


def test_many_threads_get_the_same_maps_as_one(open_model, film):
    model = open_model("resnet18")
    jobs = [(name, method) for name in ("Mass", "Edema", "Hernia") for method in ORACLES] * 3
    alone = [model.explain(film, *job).signed for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: model.explain(film, *job).signed, jobs))
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(alone, together, strict=True))
    assert not any(module._forward_hooks for module in model.network.modules())


def test_other_architectures_go_through_gradients(make_bundle, film):
    vit = cxrcore.load(make_bundle("vit_tiny_patch16_224", PNEUMONIA2, size=224, channels=3), dtype=torch.float32)
    assert linear_head(vit.network) is None
    analysis = vit.analyse(film)
    heat = analysis.heatmaps["Pneumonia"]
    assert heat.signed.shape == (14, 14)
    assert (heat.scale, heat.strength, heat.evidence) == (None, None, None)
    mobile: Any = cxrcore.load(make_bundle("mobilenetv3_small_050", PNEUMONIA2), dtype=torch.float32)
    assert not mobile.one_pass  # a non-linear layer follows its pooling
    assert np.isfinite(mobile.explain(film, "Pneumonia").signed).all()


def test_random_control_knows_nothing_and_repeats(open_model, film):
    model = open_model("resnet18")
    one, again = (model.explain(film, "Mass", "random") for _ in range(2))
    assert np.array_equal(one.signed, again.signed)
    assert one.signed.shape == model.explain(film, "Mass").signed.shape
    assert not np.array_equal(one.signed, model.explain(film, "Edema", "random").signed)
    assert one.scale is None


def test_map_on_the_films_own_grid(open_model, film):
    grid = np.asarray(open_model("resnet18").explain(film, "Mass"))
    assert grid.shape == film.pixels.shape
    assert grid.dtype == np.float32
    assert grid.min() >= 0


def test_strength_is_the_mean_positive_contribution():
    signed = np.array([[[1.0, -3.0], [2.0, 0.0]]])
    assert strengths(signed).tolist() == [0.75]


def test_evidence_level_is_the_95th_percentile_of_films_without():
    strength = np.arange(200.0).reshape(-1, 1)
    targets = (np.arange(200) >= 100).astype(np.float32).reshape(-1, 1)
    targets[0] = np.nan
    (level,) = evidence_levels(strength, targets)
    assert level == pytest.approx(np.percentile(np.arange(1, 100), 95))
    assert evidence_levels(strength[:5], targets[:5]) == [None]
    assert map_ceilings(np.ones((3, 2, 4, 4))) == [1, 1]


def test_evidence_can_say_no(make_bundle, film):
    low = make_bundle("resnet18", NIH14, evidence_levels=dict.fromkeys(NIH14, -1.0))
    high = make_bundle("resnet18", NIH14, evidence_levels=dict.fromkeys(NIH14, 1e6))
    assert cxrcore.load(low).explain(film, "Mass").evidence is True
    assert cxrcore.load(high).explain(film, "Mass").evidence is False


def test_overlay_leaves_a_film_without_contribution_alone(open_model, film):
    model = open_model("resnet18")
    heat = model.explain(film, "Mass")
    grey = np.repeat(np.rint(film.pixels * 255).astype(np.uint8)[..., None], 3, axis=2)
    for value, against in ((0, True), (-1, False)):
        signed = np.full((2, 2), value, np.float32)
        empty = cxrcore.Heatmap("Mass", "gradcam", signed, heat.film_size, model.preprocessing, "logit", 0.0)
        assert np.array_equal(draw_overlay(film.pixels, empty, against=against), grey)
    assert draw_overlay(film.pixels, heat).shape == (*film.pixels.shape, 3)


def test_overlay_draws_evidence_against_in_blue_and_for_in_inferno(open_model, film):
    """Oracle: the blend of each colour by hand, where a map is the same everywhere."""
    model = open_model("resnet18")
    heat, black = model.explain(film, "Mass"), np.zeros_like(film.pixels)
    for value, table, cover in ((2.0, INFERNO, 0.8), (-2.0, BLUES, 0.8 * 0.6)):
        signed = np.full((2, 2), value, np.float32)
        flat = cxrcore.Heatmap(
            "Mass", "gradcam", signed, heat.film_size, model.preprocessing, "logit", 0.0, None, ceiling=4.0
        )
        drawn = draw_overlay(black, flat)
        step = round(255 * 2 / 4)
        assert np.abs(drawn.astype(float) - cover * step / 255 * table[step]).max() <= 1
    unscaled = cxrcore.Heatmap("Mass", "eigencam", signed, heat.film_size, model.preprocessing)
    assert not draw_overlay(black, unscaled).any()


def test_the_page_has_the_same_blues():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    code = (
        f"import({json.dumps((ASSETS / 'app' / 'maps.js').as_uri())}).then(m => console.log(JSON.stringify(m.BLUES)))"
    )
    printed = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert np.abs(np.array(json.loads(printed)) - BLUES).max() <= 1


def test_unknown_finding_and_method(open_model, film):
    with pytest.raises(LabelMismatch, match="Atelectasis"):
        open_model("resnet18").explain(film, "Broken rib")
    with pytest.raises(CxrError, match="eigencam"):
        open_model("resnet18").explain(film, "Mass", "scorecam")
