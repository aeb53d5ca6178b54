"""How long from a film's bytes to every finding's probability and map? Ours beside the usual recipe, in one run.

    python -m benchmarks.latency            # about a minute on one core

The usual recipe is what tutorials and most Spaces do: Pillow, torchvision transforms, a timm network in float32, then
one pytorch-grad-cam call and one ``show_cam_on_image`` per finding. Ours reads the film through ``read_radiograph``,
and gets every map from the prediction's own forward pass. Both see the same 1024 x 1024 PNG (a synthetic film), have
random weights of the same architecture and 14 findings, and run on one thread, in turn, so the ratio holds on a noisy
machine; seconds are medians.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import timm
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torchvision import transforms

import cxrcore
from benchmarks.measuring import print_header, print_row, timed
from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import embedded_models, write_bundle
from cxrcore.explain.overlay import draw_overlay
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import NIH14
from cxrcore.models.shaking import shake
from cxrcore.phantom import draw_phantom
from cxrcore.resources import keep_freed_memory

LAST_LAYER = {"resnet18": lambda network: network.layer4[-1], "densenet121": lambda network: network.features.norm5}


def usual_recipe(architecture: str, png: bytes) -> Callable[[], None]:
    """What a tutorial does with one film, as a function to time."""
    network = timm.create_model(architecture, num_classes=len(NIH14)).eval()
    transform = transforms.Compose(
        [
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    def run() -> None:
        image = Image.open(io.BytesIO(png)).convert("RGB")
        inputs = transform(image).unsqueeze(0)
        with torch.no_grad():
            torch.sigmoid(network(inputs))
        small = np.asarray(image.resize((224, 224)), dtype=np.float32) / 255
        with GradCAM(network, [LAST_LAYER[architecture](network)]) as cam:
            for column in range(len(NIH14)):
                show_cam_on_image(small, cam(inputs, [ClassifierOutputTarget(column)])[0], use_rgb=True)

    return run


def our_bundle(architecture: str, folder: Path) -> cxrcore.Classifier:
    """A bundle of random weights, opened."""
    config = BundleConfig(architecture, architecture, NIH14, Preprocessing(intensity="equalise"))
    write_bundle(folder / architecture, config.build_network(), config)
    model = cxrcore.load(folder / architecture, device="cpu")
    assert isinstance(model, cxrcore.Classifier)
    return model


def stages_of(architecture: str, folder: Path, png: bytes) -> tuple[str, dict[str, Callable[[], object]]]:
    """The precision of our network, and what is timed, by name."""
    model = our_bundle(architecture, folder)
    film = cxrcore.read_radiograph(png)
    inputs, heatmap = model.tensor(film), model.explain(film, "Mass")

    def overlay() -> None:
        Image.fromarray(draw_overlay(film.pixels, heatmap)).save(io.BytesIO(), "PNG", compress_level=1)

    return str(model.dtype).removeprefix("torch."), {
        "usual": usual_recipe(architecture, png),
        "ours": lambda: model.analyse(cxrcore.read_radiograph(png)),
        "read": lambda: cxrcore.read_radiograph(png),
        "prepare": lambda: model.tensor(film),
        "forward": lambda: model.forward(inputs),
        "overlay": overlay,
    }


def measure(architecture: str, folder: Path, png: bytes, repeats: int) -> None:
    """Print one network's row."""
    precision, stages = stages_of(architecture, folder, png)
    for work in stages.values():
        work()
    rounds = [{name: timed(work).wall for name, work in stages.items()} for _ in range(repeats)]
    seconds = {name: median(one[name] for one in rounds) for name in stages}
    ratio = median(one["usual"] / one["ours"] for one in rounds)
    print_row(
        f"{architecture} ({precision})",
        f"{seconds['usual']:.2f} s",
        f"{1e3 * seconds['ours']:.0f} ms",
        f"{ratio:.0f}x",
        *(f"{1e3 * seconds[n]:.0f} ms ({seconds[n] / seconds['ours']:.0%})" for n in ("read", "prepare", "forward")),
        f"{1e3 * seconds['overlay']:.0f} ms",
    )


def measure_answer(name: str, film: cxrcore.Radiograph, repeats: int) -> None:
    """Print what an embedded model's answer costs beside a bare prediction, and a shaken film in such predictions."""
    model = cxrcore.load(name, device="cpu")
    assert isinstance(model, cxrcore.Classifier)
    network = model.network.to(memory_format=torch.channels_last)

    def bare() -> None:
        with torch.inference_mode():
            torch.sigmoid(network(model.tensor(film)))

    stages = {"bare": bare, "answer": lambda: model.analyse(film), "shaken": lambda: shake(model, film)}
    for work in stages.values():
        work()
    rounds = [{stage: timed(work).wall for stage, work in stages.items()} for _ in range(repeats)]
    seconds = {stage: 1e3 * median(one[stage] for one in rounds) for stage in stages}
    ratios = [median(one[stage] / one["bare"] for one in rounds) for stage in ("answer", "shaken")]
    print_row(name, *(f"{seconds[stage]:.0f} ms" for stage in stages), f"{ratios[0]:.2f}", f"{ratios[1]:.1f}")


def main(repeats: int = 7) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as the app does
    file = io.BytesIO()
    Image.fromarray(np.rint(draw_phantom(0, size=(1024, 1024)).pixels * 255).astype(np.uint8)).save(file, "PNG")
    png = file.getvalue()
    print(f"1024 x 1024 PNG of {len(png) / 1e6:.2f} MB, 14 findings, one thread, median of {repeats}\n")
    titles = (
        "network",
        "usual recipe",
        "ours",
        "ratio",
        "read",
        "preprocess",
        "forward, 14 maps",
        "overlay PNG, apart",
    )
    print_header(*titles)
    with tempfile.TemporaryDirectory() as folder:
        for architecture in LAST_LAYER:
            measure(architecture, Path(folder), png, repeats)
    print("\nA film already read: preprocessing and network alone, then with gate, calibration, answers and maps\n")
    print_header("model", "bare prediction", "whole answer", "shaken film", "answer / bare", "shaken / bare")
    for name in embedded_models():
        measure_answer(name, cxrcore.read_radiograph(png), 3 * repeats)


if __name__ == "__main__":
    main()
