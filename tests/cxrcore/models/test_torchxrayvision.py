"""TorchXRayVision's models, opened here and by their own package. Oracle: that package, on the same file and film.

The weights are random (the trained ones lie on GitHub) but in the package's own file formats, where it looks for them.
"""

from __future__ import annotations

import io
import pickle
import shutil
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cxrcore
from cxrcore.errors import BundleNotFound, InvalidBundle
from cxrcore.films.preprocessing import Preprocessing, middle_square
from cxrcore.models import torchxrayvision as xrv_models
from cxrcore.models.pickle_reader import read_tensors
from tests.conftest import ROOT
from train.cli import main

EXAMPLES = ROOT / "assets" / "examples"
DENSE, RESNET = "densenet121-res224-all", "resnet50-res512-all"
QUANTUM = 2048 / 65535 / 2 + 3e-4  # half a 16-bit step of [-1024, 1024], and float32's own


@pytest.fixture(scope="module")
def xrv():
    return pytest.importorskip("torchxrayvision", reason="the extra 'xrv' is not installed")


@pytest.fixture(scope="module")
def files(xrv, tmp_path_factory) -> Path:
    """The package's folder in some home, with files in it as its training scripts write them."""
    files = tmp_path_factory.mktemp("home") / ".torchxrayvision" / "models_data"
    files.mkdir(parents=True)
    torch.manual_seed(0)
    film = torch.from_numpy(np.stack([package_input(xrv, path, 224) for path in sorted(EXAMPLES.glob("*.png"))[:3]]))
    dense = as_trained(xrv.models.DenseNet(), film)
    for module in dense.modules():
        del module._non_persistent_buffers_set  # older than this: PyTorch 1.5
    for weights, modern in ((DENSE, False), ("densenet121-res224-rsna", True)):
        torch.save(dense, files / file_of(xrv, weights), _use_new_zipfile_serialization=modern)
    import torchvision

    resnet = torchvision.models.resnet50(num_classes=18, weights=None)
    resnet.conv1 = torch.nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    torch.save(as_trained(resnet, film).state_dict(), files / file_of(xrv, RESNET))
    return files


@pytest.fixture
def home(files, monkeypatch) -> Path:
    """The home folder that holds them."""
    monkeypatch.setenv("HOME", str(files.parents[1]))
    return files.parents[1]


@pytest.fixture
def empty_home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def file_of(xrv, weights: str) -> str:
    return xrv.models.model_urls[weights]["weights_url"].rpartition("/")[2]


def as_trained(network: torch.nn.Module, films: torch.Tensor) -> torch.nn.Module:
    """Statistics as after an epoch, and a head whose outputs lie around the package's operating points."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, 0, 0.02)
            torch.nn.init.normal_(module.bias, -1.5, 2)
    with torch.no_grad():
        network.train()(films)
    return network.eval()


def package_input(xrv, path: Path, size: int) -> np.ndarray:
    """The package's own pipeline, float32 (1, size, size) in [-1024, 1024]."""
    film = xrv.datasets.XRayCenterCrop()(xrv.utils.load_image(str(path)))
    return xrv.datasets.XRayResizer(size)(film)


def open_(weights: str) -> cxrcore.Classifier:
    model = cxrcore.load(f"xrv:{weights}", device="cpu", dtype=torch.float32)
    assert isinstance(model, cxrcore.Classifier)
    return model


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> list[Path]:
    """A drawn film, and cut-outs of it that are wide, tall, odd and smaller than the input."""
    folder = tmp_path_factory.mktemp("films")
    whole = np.asarray(Image.open(EXAMPLES / "effusion.png").convert("L"))
    parts = {"whole": whole, "wide": whole[40:361, :], "tall": whole[:, 30:331], "small": whole[100:291, 90:220]}
    for name, pixels in parts.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return sorted(folder.iterdir())


def test_a_crop_sees_the_middle_square_alone():
    film = np.random.default_rng(0).random((60, 101), dtype=np.float32)
    other = film.copy()
    other[:, :20], other[:, 80:] = 1, 0
    crop = Preprocessing(32, 32, geometry="crop")
    np.testing.assert_array_equal(crop.prepare(film), crop.prepare(other))
    assert crop.prepare(film[:, 20:80]).tolist() == crop.prepare(film).tolist()
    assert crop.film_area(film.shape) == (0, -11, 32, 54)
    with pytest.raises(InvalidBundle, match="for a square input, not one of 32x40"):
        Preprocessing(32, 40, geometry="crop")


@pytest.mark.slow
@pytest.mark.parametrize("size", [224, 512])
def test_a_film_is_prepared_as_the_package_prepares_it(xrv, films, size):
    preprocessing = Preprocessing(size, size, 1, "crop", mean=0.5, std=1 / 2048)
    for path in films:
        prepared = preprocessing.prepare(cxrcore.read_radiograph(path).pixels)
        found = preprocessing.normalise(torch.from_numpy(prepared)[None, None])[0].numpy()
        np.testing.assert_allclose(found, package_input(xrv, path, size), rtol=0, atol=QUANTUM, err_msg=path.name)


@pytest.mark.slow
def test_real_films_are_prepared_as_the_package_prepares_them(xrv, kermany_dir):
    preprocessing = Preprocessing(224, 224, 1, "crop", mean=0.5, std=1 / 2048)
    paths = sorted(kermany_dir.rglob("*.jpeg"))[::700][:5]
    assert paths
    for path in paths:
        prepared = preprocessing.prepare(cxrcore.read_radiograph(path).pixels)
        found = preprocessing.normalise(torch.from_numpy(prepared)[None, None])[0].numpy()
        np.testing.assert_allclose(found, package_input(xrv, path, 224), rtol=0, atol=QUANTUM)


@pytest.mark.slow
@pytest.mark.parametrize("weights", [DENSE, "densenet121-res224-rsna", RESNET])
def test_outputs_are_the_packages(xrv, home, films, weights):
    """On our input to 1e-5, and from the file on to what 16 bits of grey cost a network of random weights."""
    model, package = open_(weights), xrv.models.get_model(weights)
    entry = xrv.models.model_urls[weights]
    kept = [package.targets.index(name) for name in model.labels]
    for path in films[:3]:
        film = cxrcore.read_radiograph(path)
        prediction = model.predict(film)
        probabilities = torch.tensor([list(prediction.probabilities.values())], dtype=torch.float32)
        rescaled = xrv.models.op_norm(probabilities, torch.tensor(entry["op_threshs"])[kept])[0].numpy()
        with torch.inference_mode():
            same_input = package(model.tensor(film))[0, kept].numpy()
            own_input = package(torch.from_numpy(package_input(xrv, path, entry["input_resolution"]))[None])[0, kept]
        np.testing.assert_allclose(rescaled, same_input, rtol=0, atol=1e-5)
        np.testing.assert_allclose(rescaled, own_input.numpy(), rtol=0, atol=2e-4)
        assert list(prediction.positive.values()) == (same_input >= 0.5).tolist()
        assert len(kept) == 2 or len(set(prediction.positive.values())) == 2


@pytest.mark.slow
def test_findings_are_the_packages_own_words_and_untrained_ones_are_hidden(xrv, home):
    model = open_(DENSE)
    assert list(model.labels) == xrv.models.model_urls[DENSE]["labels"]
    assert len(model.labels) == 18
    np.testing.assert_allclose(list(model.thresholds.values()), xrv.models.model_urls[DENSE]["op_threshs"], rtol=1e-6)
    assert list(open_("densenet121-res224-rsna").labels) == ["Pneumonia", "Lung Opacity"]
    resnet = open_(RESNET)
    assert len(resnet.labels) == 16
    assert "Lung Lesion, Enlarged Cardiomediastinum" in resnet.info["provenance"]["note"]


@pytest.mark.slow
def test_its_note_says_what_its_numbers_are(home):
    model = open_(DENSE)
    note = model.info["provenance"]["note"]
    assert "not calibrated" in note
    assert "sigmoid of a sigmoid" not in note
    assert "sigmoid of a sigmoid" in open_(RESNET).info["provenance"]["note"]
    assert model.id.startswith(f"xrv:{DENSE}@")


@pytest.mark.slow
@pytest.mark.parametrize("weights", [DENSE, RESNET])
def test_maps_are_grad_cams_on_the_packages_network(xrv, home, films, weights):
    """The package's DenseNet rectifies in place, outside any layer that could be hooked; spelled out it can be."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    package = xrv.models.get_model(weights)
    if weights == DENSE:
        pool = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
        network = torch.nn.Sequential(package.features, torch.nn.ReLU(), *pool, package.classifier)
        layer = network[1]
    else:
        network, layer = package.model, package.model.layer4[-1]
    model, film = open_(weights), cxrcore.read_radiograph(films[0])
    inputs = model.tensor(film)
    heats = model.analyse(film).heatmaps
    for name in list(model.labels)[:2]:
        column = package.targets.index(name)
        with GradCAM(network, [layer]) as cam:
            outputs = cam.activations_and_grads(inputs)
            outputs[0, column].backward()
            activations = cam.activations_and_grads.activations[0].numpy()
            gradients = cam.activations_and_grads.gradients[0].numpy()
            target = [ClassifierOutputTarget(column)]
            raw = cam.get_cam_image(inputs, layer, target, activations, gradients, eigen_smooth=False)[0]
        heat = heats[name]
        np.testing.assert_allclose(heat.signed / heat.signed.size, raw, rtol=0, atol=1e-4 * np.abs(raw).max())
        assert heat.signed.mean() + heat.bias == pytest.approx(float(outputs[0, column].detach()), abs=1e-4)


@pytest.mark.slow
def test_a_map_covers_the_square_that_the_network_saw_and_nothing_else(home, films):
    film = cxrcore.read_radiograph(next(path for path in films if path.stem == "wide"))
    heat = open_(DENSE).explain(film, "Effusion")
    grid = heat.preprocessing.to_film_grid(np.ones_like(heat.signed), film.pixels.shape)
    seen = np.zeros(film.pixels.shape)
    seen[middle_square(film.pixels.shape)] = 1
    np.testing.assert_allclose(grid, seen, atol=1e-6)


@pytest.mark.slow
def test_once_converted_it_opens_without_the_package_and_its_file(files, home, tmp_path, monkeypatch):
    before = open_(DENSE).id
    shutil.copytree(files / "cxrcore", tmp_path / ".torchxrayvision" / "models_data" / "cxrcore")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    assert open_(DENSE).id == before


@pytest.mark.slow
def test_a_short_name_is_the_same_model(home):
    assert open_("all").id == open_(DENSE).id


@pytest.mark.slow
def test_the_command_line_takes_it(home, films, capsys):
    assert main(["predict", f"xrv:{DENSE}", str(films[0]), "--json"]) == 0
    assert '"Enlarged Cardiomediastinum"' in capsys.readouterr().out
    assert main(["predict", "xrv:densenet121-res224-mars", str(films[0])]) == 2
    said = "has no weights 'densenet121-res224-mars'; there are: densenet121-res224-all,"
    assert said in capsys.readouterr().err


def test_without_the_package_one_sentence_says_how_to_get_it(empty_home, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    with pytest.raises(BundleNotFound, match=r'pip install "torchxrayvision~='):
        open_(DENSE)


class _Deed:
    """A pickle of it makes a folder when it is opened the usual way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("modern", [True, False])
def test_a_file_that_would_run_something_is_refused_and_runs_nothing(tmp_path, modern):
    buffer = io.BytesIO()
    torch.save(
        {"conv0.weight": torch.ones(1), "x": _Deed(tmp_path / "deed")}, buffer, _use_new_zipfile_serialization=modern
    )
    with pytest.raises(InvalidBundle, match=r"file a\.pt is refused: it asks for \w+\.mkdir, which no network needs"):
        read_tensors(buffer.getvalue(), "a.pt")
    assert not (tmp_path / "deed").exists()
    torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)  # it would have
    assert (tmp_path / "deed").is_dir()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TorchScript is on its way out
def test_programs_and_tar_archives_are_refused_before_torch_opens_them(monkeypatch):
    script, tar = io.BytesIO(), io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), script)
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"))
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("it was opened"))
    for content, what in ((script, "TorchScript"), (tar, "a tar archive")):
        with pytest.raises(InvalidBundle, match=rf"file a\.pt is refused: it is .*{what}"):
            read_tensors(content.getvalue(), "a.pt")


@pytest.mark.parametrize("content", [b"", b"<html>", pickle.dumps([1, 2]), b"PK\x03\x04 cut"])
def test_a_file_that_holds_no_network_is_refused(content):
    with pytest.raises(InvalidBundle, match=r"file a\.pt"):
        read_tensors(content, "a.pt")


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 0.999])
def test_a_file_that_was_cut_is_refused(xrv, files, share):
    content = (files / file_of(xrv, DENSE)).read_bytes()
    with pytest.raises(InvalidBundle, match="is damaged or no network"):
        read_tensors(content[: int(len(content) * share)], "a.pt")


@pytest.mark.slow
def test_tensors_of_another_network_are_refused(xrv, empty_home):
    folder = empty_home / ".torchxrayvision" / "models_data"
    folder.mkdir(parents=True)
    torch.save({"classifier.weight": torch.ones(18, 1024)}, folder / file_of(xrv, DENSE))
    with pytest.raises(InvalidBundle, match=f"'xrv:{DENSE}' do not fit densenet121: missing classifier.bias"):
        open_(DENSE)


@pytest.fixture
def release(xrv, monkeypatch):
    """A server in place of the package's release page: ``release(answer)`` sets what it says; yields its requests."""

    class Page(BaseHTTPRequestHandler):
        answer: staticmethod

        def do_GET(self) -> None:
            Page.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    entry = xrv.models.model_urls[DENSE]
    url = f"http://127.0.0.1:{server.server_port}/{file_of(xrv, DENSE)}"
    monkeypatch.setitem(entry, "weights_url", url)

    def set_(answer) -> None:
        Page.answer = staticmethod(answer)

    yield set_
    server.shutdown()
    server.server_close()


def send(handler: BaseHTTPRequestHandler, content: bytes, claimed: int | None = None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content) if claimed is None else claimed))
    handler.end_headers()
    handler.wfile.write(content)


@pytest.mark.slow
def test_weights_are_fetched_once(xrv, files, empty_home, release):
    content = (files / file_of(xrv, DENSE)).read_bytes()
    asked = []
    release(lambda handler: (asked.append(handler.path), send(handler, content)))
    model = open_(DENSE)
    kept = empty_home / ".torchxrayvision" / "models_data"
    assert (kept / file_of(xrv, DENSE)).read_bytes() == content  # where the package itself looks
    assert open_(DENSE).id == model.id
    assert asked == [f"/{file_of(xrv, DENSE)}"]
    assert {path.name for path in kept.iterdir()} == {file_of(xrv, DENSE), "cxrcore"}


@pytest.mark.slow
def test_where_nothing_can_be_fetched_one_sentence_says_so_in_time(xrv, empty_home, release, monkeypatch):
    by_hand = r"; fetch http\S+ elsewhere and put it into ~/\.torchxrayvision/models_data$"
    release(lambda handler: handler.send_error(503))
    with pytest.raises(BundleNotFound, match=r"the server says 503\)" + by_hand):
        open_(DENSE)
    release(lambda handler: send(handler, b"half", claimed=8))
    with pytest.raises(BundleNotFound, match="cannot be fetched: no answer, or no room" + by_hand):
        open_(DENSE)
    release(lambda handler: send(handler, b"", claimed=10**12))
    with pytest.raises(BundleNotFound, match="have grown to 1,000,000,000,000 bytes" + by_hand):
        open_(DENSE)
    monkeypatch.setattr(xrv_models, "TIMEOUT_S", 0.3)
    client_gave_up, answered = threading.Event(), []
    release(lambda handler: answered.append(client_gave_up.wait(60)))
    with pytest.raises(BundleNotFound, match="cannot be fetched: no answer"):
        open_(DENSE)
    assert not answered  # the sentence came while the server still kept silent
    client_gave_up.set()
    assert not list((empty_home / ".torchxrayvision" / "models_data").iterdir())
