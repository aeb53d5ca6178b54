"""Losses against torch's and torchvision's own; unknown labels weigh nothing; weights leave no shift behind."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from cxrcore.findings import Kind
from cxrcore.training.config import LossConfig
from cxrcore.training.losses import label_weights, labels_counted, make_loss, undo_weights

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
LOGITS = torch.tensor(RNG.normal(size=(40, 3)), dtype=torch.float32)
CLASSES = np.eye(3, dtype=np.float32)[RNG.choice(3, 40, p=[0.6, 0.3, 0.1])]
FINDINGS = (RNG.random((40, 3)) < [0.5, 0.2, 0.1]).astype(np.float32)


def mean_loss(config: LossConfig, name: str, targets: np.ndarray, logits: torch.Tensor = LOGITS) -> float:
    loss = make_loss(config, name, targets, CPU)(logits, torch.from_numpy(targets))
    return loss.sum().item() / labels_counted(targets, name)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [(), (3.0, 1.0, 0.5)])
def test_cross_entropy_is_torchs(smoothing, weights):
    ours = mean_loss(LossConfig(label_smoothing=smoothing, weights=weights), "cross_entropy", CLASSES)
    weight = torch.tensor(weights) if weights else None
    theirs = functional.cross_entropy(LOGITS, torch.from_numpy(CLASSES), weight=weight, label_smoothing=smoothing)
    assert ours == pytest.approx(theirs.item(), abs=1e-5)


def test_binary_cross_entropy_is_torchs():
    theirs = functional.binary_cross_entropy_with_logits(LOGITS, torch.from_numpy(FINDINGS))
    assert mean_loss(LossConfig(), "bce", FINDINGS) == pytest.approx(theirs.item(), abs=1e-6)


def test_weighted_binary_cross_entropy_weighs_positives_by_the_share_of_negatives():
    share = FINDINGS.mean(axis=0)
    y, p = FINDINGS, LOGITS.sigmoid().double().numpy()
    expected = -np.mean(2 * ((1 - share) * y * np.log(p) + share * (1 - y) * np.log(1 - p)))
    assert mean_loss(LossConfig(class_weights=True), "bce", FINDINGS) == pytest.approx(expected, abs=1e-6)


def test_focal_loss_is_torchvisions():
    theirs = sigmoid_focal_loss(LOGITS, torch.from_numpy(FINDINGS), alpha=-1, gamma=2, reduction="mean")
    assert mean_loss(LossConfig(focal_gamma=2), "focal", FINDINGS) == pytest.approx(theirs.item(), abs=1e-6)


@pytest.mark.parametrize("name", ["bce", "focal", "cross_entropy"])
def test_unknown_labels_give_no_gradient(name):
    targets = (CLASSES if name == "cross_entropy" else FINDINGS).copy()
    targets[5] = np.nan
    logits = LOGITS.clone().requires_grad_()
    loss = make_loss(LossConfig(class_weights=True), name, targets, CPU)(logits, torch.from_numpy(targets))
    loss.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[5] == 0).all()
    assert (logits.grad[6] != 0).all()
    assert labels_counted(targets, name) == (39 if name == "cross_entropy" else 117)


def test_parts_of_a_batch_add_up_to_the_whole():
    loss = make_loss(LossConfig(), "bce", FINDINGS, CPU)
    whole = loss(LOGITS, torch.from_numpy(FINDINGS)).sum()
    parts = [loss(LOGITS[k::3], torch.from_numpy(FINDINGS[k::3])).sum().item() for k in range(3)]
    assert whole.item() == pytest.approx(sum(parts), abs=1e-4)


def test_labels_that_are_all_alike_are_not_weighed():
    targets = FINDINGS.copy()
    targets[:, 1] = 0
    positive, negative = label_weights(LossConfig(class_weights=True), "bce", targets)
    assert (positive[1], negative[1]) == (1, 1)


class Net(torch.nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(1, outputs)

    def get_classifier(self) -> torch.nn.Linear:
        return self.fc


@pytest.mark.parametrize("kind", [Kind.MULTICLASS, Kind.MULTILABEL])
def test_weights_leave_no_shift_behind(kind):
    """A head fitted under the weighted loss, with the shift undone, speaks of the films' own mix again."""
    rng = np.random.default_rng(0)
    sick = np.repeat([0.0, 1.0], [3200, 800])
    x = torch.tensor(rng.normal(size=4000) + sick, dtype=torch.float32)[:, None]
    multiclass = kind is Kind.MULTICLASS
    targets = np.eye(2, dtype=np.float32)[sick.astype(int)] if multiclass else sick[:, None].astype(np.float32)
    name = "cross_entropy" if multiclass else "bce"

    def share(net):
        logits = net.fc(x)
        return (logits.softmax(1)[:, 1] if multiclass else logits.sigmoid()).mean().item()

    net = Net(targets.shape[1])
    config = LossConfig(class_weights=True)
    loss_of = make_loss(config, name, targets, CPU)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=200)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(net.fc(x), torch.from_numpy(targets)).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    before = share(net)
    undo_weights(net, label_weights(config, name, targets), kind)
    assert before > 0.3
    assert share(net) == pytest.approx(0.2, abs=0.02)


def test_a_film_of_which_only_an_absent_class_is_known_learns_not_that():
    """Oracle: -log(1 - p) of torch's softmax, and its gradient by autograd."""
    targets = np.full((4, 3), np.nan, np.float32)
    targets[:, 2] = 0
    logits = LOGITS[:4].clone().requires_grad_()
    loss = make_loss(LossConfig(class_weights=True, label_smoothing=0.1), "cross_entropy", targets, CPU)
    ours = loss(logits, torch.from_numpy(targets)).sum()
    theirs = -torch.log(1 - logits.softmax(1)[:, 2]).sum()
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    gradients = (torch.autograd.grad(value, logits)[0] for value in (ours, theirs))
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=0)
    assert labels_counted(targets, "cross_entropy") == 4
