"""A real, small training run: it learns, repeats, resumes to the same weights, and leaves a whole bundle."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

import cxrcore
from cxrcore.errors import InvalidDataset, TrainingStopped
from cxrcore.predictions import Predictions
from cxrcore.preprocessing import unpack
from cxrcore.training import loop
from cxrcore.training.films import decode_films
from cxrcore.training.loop import one_cycle
from cxrcore.training.run import fit
from tests.conftest import TOY
from train.recipes import open_recipe


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_leaves_a_whole_bundle(toy_run):
    wanted = [
        "config.json",
        "model.safetensors",
        "README.md",
        "recipe.yaml",
        "training/history.jsonl",
        "training/split.csv",
        "evaluation/kermany-test/metrics.json",
        "evaluation/kermany-test/curves.json",
        "evaluation/kermany-test/predictions.parquet",
        "evaluation/kermany-val/metrics.json",
    ]
    assert [name for name in wanted if not (toy_run / name).is_file()] == []
    history = [json.loads(line) for line in (toy_run / "training/history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == [1, 2]
    assert {"train_loss", "val_loss", "val_auroc", "lr", "images_per_second"} <= history[0].keys()


def test_stored_scores_are_those_of_the_stored_weights(toy_run, kermany_like):
    """Re-measured from the films by the app's own path; oracle: scikit-learn."""
    model = cxrcore.load(toy_run)
    table = Predictions.read(toy_run / "evaluation/kermany-test/predictions.parquet")
    metrics = json.loads((toy_run / "evaluation/kermany-test/metrics.json").read_text())
    again = []
    for image in table.images:
        film = cxrcore.read_radiograph(kermany_like / "chest_xray" / image)
        again.append(model.predict(film).probabilities["Pneumonia"])
    assert np.allclose(again, table.probabilities[:, 1], atol=2e-2 if model.dtype is torch.bfloat16 else 1e-5)
    area = metrics["findings"]["Pneumonia"]["auroc"]
    assert area["value"] == pytest.approx(roc_auc_score(table.targets[:, 1], table.probabilities[:, 1]), abs=1e-9)
    assert area["low"] is not None
    assert metrics["split"] == "test"
    assert metrics["model"] == model.id
    card = (toy_run / "README.md").read_text()
    assert f"{area['value']:.3f}" in card
    assert "never for diagnosis" in card


def test_no_patient_is_in_two_splits(toy_run):
    rows = [line.split(",") for line in (toy_run / "training/split.csv").read_text().splitlines()[1:]]
    where: dict[str, set] = {}
    for _, patient, split in rows:
        where.setdefault(patient, set()).add(split)
    assert len(rows) == 40
    assert all(len(splits) == 1 for splits in where.values())


def test_training_evaluation_and_the_app_see_the_same_input_bit_for_bit(toy_run, kermany_like):
    model = cxrcore.load(toy_run)
    from cxrcore.datasets import read_dataset

    table, packed, _ = decode_films(read_dataset("kermany", kermany_like, model.labels), model.preprocessing)
    trained_on = model.preprocessing.normalise(torch.from_numpy(unpack(packed)).unsqueeze(1))
    for row in (0, 17, 39):
        assert torch.equal(model.tensor(cxrcore.read_radiograph(table.paths[row]))[0], trained_on[row])


def test_same_seed_same_weights_and_another_seed_others(toy_run, kermany_like, tmp_path):
    again = fit(open_recipe("pneumonia-resnet18", TOY), kermany_like, tmp_path / "again")
    other = fit(open_recipe("pneumonia-resnet18", [*TOY, "seed=1"]), kermany_like, tmp_path / "other")
    assert same(weights(toy_run), weights(again))
    assert not same(weights(toy_run), weights(other))


def test_a_killed_run_resumes_to_the_same_weights(toy_run, kermany_like, tmp_path, monkeypatch):
    recipe, out, steps = open_recipe("pneumonia-resnet18", TOY), tmp_path / "run", 0
    real = loop._step

    def killed_in_the_second_epoch(*arguments):
        nonlocal steps
        steps += 1
        if steps == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(loop, "_step", killed_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, kermany_like, out)
    monkeypatch.setattr(loop, "_step", real)
    assert not (out / "config.json").exists()
    with pytest.raises(TrainingStopped, match="--resume"):
        fit(recipe, kermany_like, out)
    with pytest.raises(TrainingStopped, match="recipe changed in optimizer"):
        fit(open_recipe("pneumonia-resnet18", [*TOY, "optimizer.lr=1e-5"]), kermany_like, out, resume=True)
    fit(recipe, kermany_like, out, resume=True)
    assert same(weights(toy_run), weights(out))
    assert len((out / "training/history.jsonl").read_text().splitlines()) == 2


def test_a_damaged_checkpoint_says_so(toy_run, kermany_like, tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training/checkpoint.safetensors").write_bytes(b"half a file")
    with pytest.raises(TrainingStopped, match="damaged"):
        fit(open_recipe("pneumonia-resnet18", TOY), kermany_like, tmp_path, resume=True)


def test_it_learns(kermany_like, tmp_path):
    more = [*TOY, "optimizer.epochs=12", "optimizer.lr=3e-3", "loss.label_smoothing=0", "augmentation.erase=0"]
    out = fit(open_recipe("pneumonia-resnet18", more), kermany_like, tmp_path / "run")
    losses = [json.loads(line)["train_loss"] for line in (out / "training/history.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.6 * losses[0]


def test_a_loss_that_is_no_number_names_films(kermany_like, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_step", lambda *arguments: float("nan"))
    with pytest.raises(TrainingStopped, match=r"epoch 1, step 1, on films such as train/"):
        fit(open_recipe("pneumonia-resnet18", TOY), kermany_like, tmp_path / "run")


def test_corrupt_films_are_listed_or_stop_the_run(kermany_like, tmp_path):
    import shutil

    folder = tmp_path / "films"
    shutil.copytree(kermany_like, folder)
    (folder / "chest_xray/train/NORMAL/IM-0003-0001.jpeg").write_bytes(b"no film")
    with pytest.raises(InvalidDataset, match=r"1 of 40 films cannot be read, first: train/NORMAL/IM-0003-0001\.jpeg"):
        fit(open_recipe("pneumonia-resnet18", TOY), folder, tmp_path / "run")
    for n in range(100, 200):
        Image.new("L", (40, 40), n).save(folder / f"chest_xray/train/NORMAL/IM-{n:04d}-0001.jpeg")
    from cxrcore.datasets import read_dataset
    from cxrcore.findings import PNEUMONIA2
    from cxrcore.preprocessing import Preprocessing

    table, packed, skipped = decode_films(read_dataset("kermany", folder, PNEUMONIA2), Preprocessing(16, 16))
    assert len(table) == len(packed) == 139
    assert len(skipped) == 1


def test_one_cycle_rises_to_its_peak_and_falls_to_nearly_nothing():
    rates = [one_cycle(step, 100, 0.25, 1.0) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 25)
    assert int(np.argmax(rates)) == 25
    assert max(rates) == 1
    assert rates[-1] < 0.001


def test_class_weights_leave_no_shift_behind():
    """A head fitted under the weighted loss, with the shift undone, is the head fitted without weights."""
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(4000, 1)) + np.repeat([[0.0], [1.0]], [3200, 800], axis=0), dtype=torch.float32)
    targets = np.eye(2, dtype=np.float32)[np.repeat([0, 1], [3200, 800])]

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(1, 2)

        def get_classifier(self):
            return self.fc

    def fitted(weights):
        net = Net()
        optimizer = torch.optim.LBFGS(net.parameters(), max_iter=200)

        def closure():
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net.fc(x), torch.from_numpy(targets), weight=weights)
            loss.backward()
            return loss

        optimizer.step(closure)
        return net

    weights = loop.class_weights(targets)
    weighted, plain = fitted(weights), fitted(None)
    before = weighted.fc(x).softmax(1)[:, 1].mean().item()
    loop.undo_class_weights(weighted, weights)
    after = weighted.fc(x).softmax(1)[:, 1].mean().item()
    assert weights.tolist() == pytest.approx([0.625, 2.5])
    assert before > 0.3
    assert after == pytest.approx(0.2, abs=0.02)
    assert plain.fc(x).softmax(1)[:, 1].mean().item() == pytest.approx(0.2, abs=0.01)
