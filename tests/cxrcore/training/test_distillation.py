"""A teacher's answers in the training targets; oracle: the formula, written out with the teacher's own network."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import cxrcore
from cxrcore.datasets import read_dataset
from cxrcore.datasets.cache import open_films
from cxrcore.errors import InvalidRecipe
from cxrcore.training.distillation import taught
from tests.conftest import TOY
from tests.cxrcore.training.quick import quick_fit
from train.recipes import open_recipe


@pytest.fixture
def teacher(toy_run) -> Any:
    return cxrcore.load(toy_run)


@pytest.fixture
def films(teacher, kermany_like):
    return open_films(read_dataset("kermany", kermany_like, teacher.labels), teacher.preprocessing)


def test_targets_are_mixed_with_the_teachers_answers(teacher, films):
    labels = films.table.targets.copy()
    labels[3] = np.nan
    unknown = replace(films, table=replace(films.table, targets=labels))
    targets = taught(unknown, (teacher,), 0.25).table.targets

    inputs = teacher.preprocessing.normalise(torch.from_numpy(films.take(slice(None))).unsqueeze(1))
    with torch.no_grad(), torch.autocast("cpu", dtype=teacher.dtype, enabled=teacher.dtype is not torch.float32):
        logits = (teacher.network(inputs) + teacher.network(inputs.flip(-1))) / 2
    expected = teacher.probabilities(logits.float().numpy())
    mixed = 0.75 * labels + 0.25 * expected
    mixed[3] = expected[3]
    assert targets == pytest.approx(mixed, abs=2e-2 if teacher.dtype is torch.bfloat16 else 1e-5)
    assert films.table.targets.max() == 1  # the films that came in are as they were


@pytest.mark.slow
def test_a_student_learns_from_a_teacher_and_names_it(teacher, toy_run, kermany_like, tmp_path):
    plain, student = (
        quick_fit(open_recipe("pneumonia-resnet18", (*TOY, "optimizer.epochs=1", *more)), kermany_like, tmp_path / name)
        for name, more in (("plain", ()), ("student", (f"loss.teacher={toy_run}",)))
    )
    before, after = cxrcore.load(plain), cxrcore.load(student)
    assert after.info["provenance"]["teacher"] == [teacher.id]
    assert "teacher" not in before.info["provenance"]
    first, second = (model.network.state_dict() for model in (before, after))
    assert any(not torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("data.split_seed=5",), "held out other patients than this run"),
        (("preprocessing.height=48", "preprocessing.width=48"), "another size than 48x48"),
        (("data.labels=pneumonia3",), "does not fit this run"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(toy_run, kermany_like, tmp_path, options, sentence):
    recipe = open_recipe("pneumonia-resnet18", (*TOY, f"loss.teacher={toy_run}", *options))
    with pytest.raises(InvalidRecipe, match=sentence):
        quick_fit(recipe, kermany_like, tmp_path / "student")
