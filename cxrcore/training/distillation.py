"""Training targets from another model: its answers mixed with the labels (Hinton 2015, arXiv:1503.02531)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from accelerate import Accelerator

from cxrcore.datasets.cache import DecodedFilms
from cxrcore.errors import InvalidRecipe
from cxrcore.evaluation.forward import logits_and_maps
from cxrcore.findings import label_difference
from cxrcore.models.classifier import Classifier
from cxrcore.models.ensemble import Ensemble
from cxrcore.models.opening import load


def open_teacher(reference: str, films: DecodedFilms, split_sha256: str) -> tuple[Classifier, ...]:
    """The members of the ensemble that ``reference`` names, or its one model.

    Raises InvalidRecipe where a member has other findings, another input size, or held out other patients than this
    run: then it may have learned from films that this run is chosen or scored on.
    """
    teacher: Any = load(reference)
    members = teacher.members if isinstance(teacher, Ensemble) else (teacher,)
    for member in members:
        if not isinstance(member, Classifier):
            raise InvalidRecipe(f"loss.teacher: {member.name!r} is no model of this project")
        if difference := label_difference(films.table.labels, member.labels):
            raise InvalidRecipe(f"loss.teacher: {member.name!r} does not fit this run: {difference}")
        if member.preprocessing.size != films.pixels.shape[1:]:
            height, width = films.pixels.shape[1:]
            raise InvalidRecipe(f"loss.teacher: {member.name!r} reads films of another size than {height}x{width}")
        if member.config.provenance.get("split_sha256") != split_sha256:
            raise InvalidRecipe(
                f"loss.teacher: {member.name!r} held out other patients than this run, so it may have learned from "
                "this run's validation or test films"
            )
    return tuple(members)


def taught(
    films: DecodedFilms, teacher: tuple[Classifier, ...], weight: float, accelerator: Accelerator | None = None
) -> DecodedFilms:
    """The films with targets ``(1 - weight) * label + weight * teacher``, and the teacher's where a label is unknown.

    The teacher's answer is the mean of its members' calibrated probabilities, each from the film and its mirror image.
    """
    answers = []
    for member in teacher:
        mirrored = replace(member.config, test_time_augmentation="flip")
        device = str(accelerator.device) if accelerator else str(member.device)
        logits, _ = logits_and_maps(Classifier(member.network, mirrored, device=device), films, accelerator, maps=False)
        answers.append(member.probabilities(logits))
    mean, labels = np.mean(answers, axis=0), films.table.targets
    targets = np.where(np.isnan(labels), mean, (1 - weight) * labels + weight * mean).astype(np.float32)
    return replace(films, table=replace(films.table, targets=targets))
