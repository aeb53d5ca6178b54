"""How long from a film's bytes to every finding's probability and map? Ours beside the usual recipe, in one run.

    python benchmarks/latency.py            # about a minute on one core

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
import time
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
from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import write_bundle
from cxrcore.explain.overlay import draw_overlay
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import NIH14
from cxrcore.phantom import draw_phantom

LAST_LAYER = {"resnet18": lambda network: network.layer4[-1], "densenet121": lambda network: network.features.norm5}


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def usual_recipe(architecture: str, png: bytes) -> Callable[[], None]:
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
    config = BundleConfig(architecture, architecture, NIH14, Preprocessing(intensity="equalise"))
    write_bundle(folder / architecture, config.build_network(), config)
    return cxrcore.load(folder / architecture, device="cpu")


def main(repeats: int = 7) -> None:
    torch.set_num_threads(1)
    file = io.BytesIO()
    Image.fromarray(np.rint(draw_phantom(0, size=(1024, 1024)).pixels * 255).astype(np.uint8)).save(file, "PNG")
    png = file.getvalue()
    print(f"1024 x 1024 PNG of {len(png) / 1e6:.2f} MB, 14 findings, one thread, median of {repeats}\n")
    print("| network | usual recipe | ours | ratio | read | preprocess | forward, 14 maps | apart: overlay PNG |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for architecture in LAST_LAYER:
            model = our_bundle(architecture, Path(folder))
            usual = usual_recipe(architecture, png)
            film = cxrcore.read_radiograph(png)
            inputs = model.tensor(film)
            heatmap = model.explain(film, "Mass")

            def overlay(film: cxrcore.Radiograph = film, heatmap: cxrcore.Heatmap = heatmap) -> None:
                Image.fromarray(draw_overlay(film.pixels, heatmap)).save(io.BytesIO(), "PNG", compress_level=1)

            stages: dict[str, Callable[[], object]] = {
                "usual": usual,
                "ours": lambda model=model: model.analyse(cxrcore.read_radiograph(png)),
                "read": lambda: cxrcore.read_radiograph(png),
                "prepare": lambda model=model, film=film: model.tensor(film),
                "forward": lambda model=model, inputs=inputs: model.forward(inputs),
                "overlay": overlay,
            }
            for work in stages.values():
                work()
            times: dict[str, list[float]] = {name: [] for name in stages}
            for _ in range(repeats):
                for name, work in stages.items():
                    times[name].append(seconds(work))
            t = {name: median(values) for name, values in times.items()}
            ratio = median(u / o for u, o in zip(times["usual"], times["ours"], strict=True))
            stage = {n: f"{1e3 * t[n]:.0f} ms ({t[n] / t['ours']:.0%})" for n in ("read", "prepare", "forward")}
            cells = [f"{architecture} ({str(model.dtype).removeprefix('torch.')})", f"{t['usual']:.2f} s"]
            cells += [f"{1e3 * t['ours']:.0f} ms", f"{ratio:.0f}x", *stage.values(), f"{1e3 * t['overlay']:.0f} ms"]
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
