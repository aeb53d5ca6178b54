"""Mistakes in calls of the library: the error, and its message word for word, so that a change is deliberate."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cxrcore
from cxrcore import errors
from cxrcore.datasets import DATASETS, read_dataset
from cxrcore.findings import LABEL_SETS, NIH14, PNEUMONIA2, Finding, Kind, LabelSet, label_set
from cxrcore.predictions.record import Predictions


def bundle(folder: Path, config: str) -> Path:
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(config)
    return folder / "model"


def predictions(probability: float) -> Predictions:
    films = np.array(["a.png", "b.png"])
    return Predictions(films, films, np.full(2, "test"), PNEUMONIA2, np.zeros((2, 2)), np.full((2, 2), probability))


TWICE = (Finding("a", ""), Finding("a", ""))
MISTAKES: dict[str, tuple[Callable[[Path], object], type[errors.CxrError], str]] = {
    "film of no bytes": (
        lambda tmp: cxrcore.read_radiograph(b""),
        errors.UnreadableImage,
        "The file is empty (0 bytes).",
    ),
    "film of text": (
        lambda tmp: cxrcore.read_radiograph(b"hello, world\n"),
        errors.UnreadableImage,
        "The file is text, not a film; supported are PNG, JPEG, TIFF, BMP, WebP and DICOM.",
    ),
    "film not found": (
        lambda tmp: cxrcore.read_radiograph(tmp / "no.png"),
        errors.UnreadableImage,
        "'no.png' was not found.",
    ),
    "model not found": (
        lambda tmp: cxrcore.load(tmp / "no"),
        errors.BundleNotFound,
        "cannot open model 'no': there is no such model or folder; "
        f"embedded models: {', '.join(cxrcore.embedded_models())}",
    ),
    "model by its old name": (
        lambda tmp: cxrcore.load("phantom-resnet10t"),
        errors.BundleNotFound,
        "cannot open model 'phantom-resnet10t': embedded models are opened by task: use 'phantom'",
    ),
    "config not JSON": (
        lambda tmp: cxrcore.load(bundle(tmp, "{")),
        errors.InvalidBundle,
        "the config.json of model 'model' cannot be read; fetch the bundle again",
    ),
    "config of another schema": (
        lambda tmp: cxrcore.load(bundle(tmp, '{"cxrcore": {}}')),
        errors.InvalidBundle,
        "this bundle has schema version None and this program reads 1; update the program, or export the bundle again",
    ),
    "unknown label set": (
        lambda tmp: label_set("nih"),
        errors.LabelMismatch,
        f"no label set 'nih'; there are: {', '.join(LABEL_SETS)}",
    ),
    "unknown finding": (
        lambda tmp: PNEUMONIA2.index("pneumonia"),
        errors.LabelMismatch,
        "no finding 'pneumonia' here; choose one of: Normal, Pneumonia",
    ),
    "finding twice": (
        lambda tmp: LabelSet("twice", Kind.MULTILABEL, TWICE),
        errors.LabelMismatch,
        "label set 'twice' repeats a finding: a, a",
    ),
    "probability above 1": (
        lambda tmp: predictions(1.5),
        errors.InvalidPredictions,
        "of 4 probabilities, 4 outside [0, 1]: row(s) 1, 2, for Normal, Pneumonia; divide percentages by 100",
    ),
    "unknown dataset": (
        lambda tmp: read_dataset("chexpert", tmp, NIH14),
        errors.InvalidDataset,
        f"no dataset 'chexpert'; there are: {', '.join(DATASETS)}",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_call_is_one_sentence(name, tmp_path):
    call, error, message = MISTAKES[name]
    with pytest.raises(error) as caught:
        call(tmp_path)
    assert str(caught.value) == message
