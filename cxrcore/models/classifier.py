"""A trained classifier: a film in, a probability and a heatmap per finding out.

Opened by ``cxrcore.load``. Threads may share one: calls keep no state.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cxrcore.bundle.calibrators import to_probabilities
from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import GATE, model_id, read_metrics
from cxrcore.bundle.reference import origin
from cxrcore.errors import CxrError, InvalidBundle
from cxrcore.explain.class_activation import class_activation_maps, linear_head, target_transform
from cxrcore.explain.gradients import METHODS, gradient_maps
from cxrcore.explain.heatmap import Heatmap, scale_top
from cxrcore.explain.random_map import random_map
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.films.radiograph import Radiograph
from cxrcore.findings import LabelSet
from cxrcore.gate.input_gate import InputGate, small_film
from cxrcore.gate.reasons import NO_GATE, Verdict, reasons_of
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.metrics.triage import Triage
from cxrcore.models.base import Analysis, Model
from cxrcore.models.precision import default_dtype

EXPLAIN_METHODS = (*METHODS, "random")
_GATE_REDUCTIONS = (8, 16, 32)


class Classifier(Model):
    """A network and its bundle's config; ``network`` is the timm module in float32, eval mode."""

    def __init__(
        self,
        network: Any,  # a timm module; its methods are unknown to nn.Module
        config: BundleConfig,
        folder: Path | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.config = config
        self.folder = folder
        self.name: str = config.name
        self.labels: LabelSet = config.labels
        self.operating_points: OperatingPoints | None = config.operating_points
        self.triage: Triage | None = config.triage
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = dtype or default_dtype(self.device, network)
        self.passes = 2 if self.mirrored else 1
        self.network = network.to(self.device).eval().requires_grad_(False)
        self._head = linear_head(self.network)

    @property
    def preprocessing(self) -> Preprocessing:
        """How a film becomes the network's input."""
        return self.config.preprocessing

    @property
    def frames(self) -> tuple[Preprocessing, ...]:
        """How the network prepares a film: one."""
        return (self.preprocessing,)

    @cached_property
    def id(self) -> str:
        """Name and digest of the weights, which identify the model; of a model from the Hub also its revision."""
        return model_id(self.name, self.folder)

    @cached_property
    def info(self) -> dict[str, Any]:
        """The bundle's provenance, label set, architecture, and every evaluation in it."""
        return {
            "name": self.name,
            "id": self.id,
            "hub": origin(self.folder),
            "architecture": self.config.architecture,
            "labels": self.labels.to_dict(),
            "input_size": list(self.preprocessing.size),
            "test_time_augmentation": self.config.test_time_augmentation,
            "members": [],
            "provenance": self.config.provenance,
            "metrics": read_metrics(self.folder) if self.folder else [],
        }

    @property
    def mirrored(self) -> bool:
        """Whether the bundle asks for test-time augmentation: the mean over the film and its mirror image."""
        return self.config.test_time_augmentation == "flip"

    @property
    def one_pass(self) -> bool:
        """Whether every finding's Grad-CAM comes from the prediction's own forward pass."""
        return self._head is not None

    @cached_property
    def _fast_network(self) -> Any:
        """The copy that runs forward passes: channels last, convolutions in ``dtype``."""
        network = copy.deepcopy(self.network).to(memory_format=torch.channels_last)
        if self.dtype is not torch.float32:
            for module in network.modules():
                if isinstance(module, nn.Conv2d):
                    module.to(self.dtype)
        return network

    def prepare(self, film: Radiograph) -> np.ndarray:
        """The film at the network's size, float32 (h, w) in [0, 1], not yet normalised."""
        return self.preprocessing.prepare(film.pixels)

    def tensor(self, film: Radiograph) -> torch.Tensor:
        """The preprocessed input, float32 (1, C, h, w), on the CPU."""
        return self._inputs([self.prepare(film)]).cpu()

    def _inputs(self, prepared: Sequence[np.ndarray]) -> torch.Tensor:
        batch = torch.from_numpy(np.stack(prepared)).unsqueeze(1).to(self.device)
        return self.preprocessing.normalise(batch)

    @cached_property
    def gate(self) -> InputGate | None:
        """The bundle's input gate, if it has one. Raises InvalidBundle where it is damaged or another network's."""
        path = self.folder / GATE if self.folder else None
        if path is None or not self.gate_stages or not path.is_file():
            return None
        gate = InputGate.read(path)
        if gate.features != sum(2 * self.network.feature_info[place]["num_chs"] for place in self.gate_stages):
            raise InvalidBundle(f"{GATE} of {self.name!r} was made for another network")
        return gate

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits, float32 (N, C), and every finding's map, float32 (N, C, h, w), or None unless ``one_pass``.

        inputs: float32 (N, C_in, h, w), as ``tensor`` gives them. The trunk runs in ``dtype``, the head in float32.
        With test-time augmentation both are the mean over film and mirror image, the mirror's map mirrored back, so
        that a map's mean plus its bias is still the logit.
        """
        logits, maps, _ = self.outputs(inputs)
        return logits, maps

    def outputs(
        self, inputs: torch.Tensor, for_gate: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """``forward``, and with ``for_gate`` what ``gate_features`` gives, from the same pass."""
        inputs = inputs.to(self.device, memory_format=torch.channels_last)
        if not self.mirrored:
            return self._forward(inputs, for_gate)
        count = len(inputs)
        logits, maps, stages = self._forward(torch.cat([inputs, inputs.flip(-1)]), for_gate)
        logits = logits.reshape(2, count, -1).mean(0)
        maps = None if maps is None else (maps[:count] + maps[count:].flip(-1)) / 2
        return logits, maps, None if stages is None else stages[:count]

    def _forward(
        self, inputs: torch.Tensor, for_gate: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        stages = None
        with torch.inference_mode():
            with self._autocast():
                if for_gate:
                    features, taken = self._fast_network.forward_intermediates(inputs, indices=self.gate_stages)
                else:
                    features = self._fast_network.forward_features(inputs)
            if for_gate:
                parts = [torch.std_mean(stage.float(), (2, 3)) for stage in taken]
                stages = torch.cat([part for std, mean in parts for part in (mean, std)], dim=1)
            if self._head is None:
                return self.network.forward_head(features.float()), None, stages
            logits, maps, _ = class_activation_maps(features, self._head, self.labels.kind)
        return logits, maps, stages

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)

    def pooled_features(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the linear head sees: means over places of the last feature map, float32 (N, K).

        inputs: as for ``forward``. Raises CxrError unless ``one_pass``.
        """
        if not self.one_pass:
            raise CxrError(f"{self.name} has no linear layer after global pooling")
        with torch.inference_mode(), self._autocast():
            features = self._fast_network.forward_features(inputs.to(self.device, memory_format=torch.channels_last))
        means: torch.Tensor = features.float().mean((2, 3))
        return means

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (N, C) in [0, 1] from logits (N, C); multiclass rows sum to 1."""
        return to_probabilities(self.config.calibration.apply(logits), self.labels.kind)

    def score(self, prepared: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Logits and calibrated probabilities, both (N, C), of films at the network's size (``prepare``)."""
        return self.combine([self.forward(self._inputs(prepared))[0].cpu().numpy()])

    @cached_property
    def gate_stages(self) -> list[int]:
        """Which of timm's stages the gate looks at: those at 1/8, 1/16 and 1/32 of the film; empty without such.

        A map of one place has no deviation and is left out.
        """
        stages = getattr(self.network, "feature_info", None)
        if self._head is None or stages is None or not hasattr(self.network, "forward_intermediates"):
            return []
        fine = [reduction for reduction in _GATE_REDUCTIONS if min(self.preprocessing.size) >= 2 * reduction]
        return [place for place, stage in enumerate(stages) if stage["reduction"] in fine]

    def gate_features(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """Means and deviations of the maps of ``gate_stages``, of films at the network's size, float32 (N, K).

        Earlier stages tell a chest from other things better than the last one, which has learned to see only the
        findings. Raises CxrError for a network without such stages.
        """
        if not self.gate_stages:
            raise CxrError(f"{self.name} has no convolutional stages that a gate could look at")
        stages = self.outputs(self._inputs(prepared), for_gate=True)[2]
        assert stages is not None
        return stages.cpu().numpy()

    def score_and_judge(
        self, prepared: Sequence[np.ndarray], told: Sequence[set[str]]
    ) -> tuple[np.ndarray, np.ndarray, list[Verdict]]:
        """``score``, and what the gate says of each film from the same forward pass."""
        logits, _, stages = self.outputs(self._inputs(prepared), for_gate=self.gate is not None)
        return *self.combine([logits.cpu().numpy()]), self._judge(stages, prepared, told)

    def judge(self, prepared: Sequence[np.ndarray]) -> list[Verdict]:
        """What the gate says of films at the network's size, by their pixels alone."""
        stages = self.outputs(self._inputs(prepared), for_gate=True)[2] if self.gate is not None else None
        return self._judge(stages, prepared, [set()] * len(prepared))

    def _judge(
        self, stages: torch.Tensor | None, prepared: Sequence[np.ndarray], told: Sequence[set[str]]
    ) -> list[Verdict]:
        if self.gate is None or stages is None:
            return [NO_GATE] * len(prepared)
        return self.gate.judge(stages.cpu().numpy(), np.stack([small_film(film) for film in prepared]), told)

    def combine(self, logits: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The network's own logits, and their probabilities, both (N, C)."""
        (own,) = logits
        return own, self.probabilities(own)

    def explain_all(
        self, film: Radiograph, method: str = "gradcam", findings: Sequence[str] | None = None
    ) -> dict[str, Heatmap]:
        """Finding to heatmap, all or the given findings, by one of EXPLAIN_METHODS. Raises CxrError for another.

        With ``one_pass``, ``gradcam`` (from one forward pass) and ``hirescam`` are on the logit scale. Other methods
        and heads need gradients, and their values only rank places.
        """
        if method not in EXPLAIN_METHODS:
            raise CxrError(f"no method {method!r}; choose one of: {', '.join(EXPLAIN_METHODS)}")
        names = list(self.labels) if findings is None else list(findings)
        inputs = self._inputs([self.prepare(film)])
        if method == "random":
            with torch.inference_mode():
                shape = self._map_shape(inputs)
            return {name: self._heatmap(name, method, random_map(shape, film.pixels, name), film) for name in names}
        if self.one_pass and method == "gradcam":
            _, exact = self.forward(inputs)
            assert exact is not None
            heatmaps = self._exact_heatmaps(exact[0].cpu().numpy(), film)
            return {name: heatmaps[name] for name in names}
        return self._gradient_heatmaps(film, inputs, method, names)

    def analyse(self, film: Radiograph) -> Analysis:
        """Prediction and every finding's Grad-CAM, from one forward pass if ``one_pass``."""
        prepared = [self.prepare(film)]
        outputs, maps, stages = self.outputs(self._inputs(prepared), for_gate=self.gate is not None)
        logits, verdicts = outputs.cpu().numpy(), self._judge(stages, prepared, [reasons_of(film)])
        prediction = self.predictions(logits, self.probabilities(logits), [film.warnings], verdicts)[0]
        if maps is None:
            return Analysis(prediction, self.explain_all(film))
        return Analysis(prediction, self._exact_heatmaps(maps[0].cpu().numpy(), film))

    def _map_shape(self, inputs: torch.Tensor) -> tuple[int, int]:
        _, maps = self.forward(inputs)
        if maps is not None:
            return maps.shape[2], maps.shape[3]
        return gradient_maps(self.network, inputs, [lambda z: z[0]], "eigencam")[0].shape

    def _exact_heatmaps(self, maps: np.ndarray, film: Radiograph) -> dict[str, Heatmap]:
        top = scale_top(maps, self.config.map_ceilings)
        return {
            name: self._heatmap(name, "gradcam", maps[column], film, self._target_bias[column], top)
            for column, name in enumerate(self.labels)
        }

    @cached_property
    def _target_bias(self) -> list[float]:
        assert self._head is not None
        bias = self._head.bias.detach().cpu().float() if self._head.bias is not None else torch.zeros(len(self.labels))
        return (target_transform(len(self.labels), self.labels.kind) @ bias).tolist()

    def _gradient_heatmaps(
        self, film: Radiograph, inputs: torch.Tensor, method: str, names: Sequence[str]
    ) -> dict[str, Heatmap]:
        transform = target_transform(len(self.labels), self.labels.kind)
        rows = [transform[self.labels.index(name)].to(self.device) for name in names]
        targets = [lambda logits, row=row: (logits.float() * row).sum() for row in rows]
        raw = gradient_maps(self.network, inputs, targets, method)
        if self.mirrored:
            mirror = gradient_maps(self.network, inputs.flip(-1), targets, method)
            raw = [(values + mirrored[:, ::-1]) / 2 for values, mirrored in zip(raw, mirror, strict=True)]
        exact = self.forward(inputs)[1] if method == "hirescam" else None
        if exact is None:
            return {name: self._heatmap(name, method, values, film) for name, values in zip(names, raw, strict=True)}
        top = scale_top(exact[0].cpu().numpy(), self.config.map_ceilings)
        heatmaps = {}
        for name, values in zip(names, raw, strict=True):  # gradient x activation is CAM over the number of places
            bias = self._target_bias[self.labels.index(name)]
            heatmaps[name] = self._heatmap(name, method, values * values.size, film, bias, top)
        return heatmaps

    def _heatmap(
        self,
        name: str,
        method: str,
        values: np.ndarray,
        film: Radiograph,
        bias: float | None = None,
        top: float | None = None,
    ) -> Heatmap:
        on_scale = bias is not None
        return Heatmap(
            finding=name,
            method=method,
            signed=np.ascontiguousarray(values, dtype=np.float32),
            film_size=film.pixels.shape,
            preprocessing=self.preprocessing,
            scale="logit" if on_scale else None,
            bias=bias,
            evidence_level=self.config.evidence_levels.get(name) if on_scale else None,
            ceiling=top,
        )
