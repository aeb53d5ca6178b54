"""The trainer's small parts: schedules against torch's, progress, unfreezing, heads, batches fetched ahead."""

import copy
import itertools
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from cxrcore.errors import InvalidRecipe
from cxrcore.training import precision, prefetch
from cxrcore.training.averaging import average_of
from cxrcore.training.config import ModelConfig, OptimizerConfig
from cxrcore.training.heads import fold_training_head, put_training_head
from cxrcore.training.precision import faster_dtype, is_measured, training_dtype
from cxrcore.training.prefetch import Prefetcher
from cxrcore.training.progress import Progress
from cxrcore.training.schedules import one_cycle, rate
from cxrcore.training.unfreezing import set_trainable, stages, train_mode


def test_one_cycle_rises_to_its_peak_and_falls_to_nearly_nothing():
    rates = [one_cycle(step, 100, 0.25, 1.0) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 25)
    assert int(np.argmax(rates)) == 25
    assert max(rates) == 1
    assert rates[-1] < 0.001


def torch_schedule(make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    return optimizer, make(optimizer)


def test_cosine_restarts_is_torchs():
    make = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts
    optimizer, schedule = torch_schedule(lambda o: make(o, T_0=3, T_mult=2))
    options = OptimizerConfig(lr=0.1, schedule="cosine_restarts", restart_epochs=3, restart_factor=2, epochs=21)
    for step in range(21 * 5):
        schedule.step(step / 5)
        assert rate(options, step, 5) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_plateau_is_torchs(patience):
    make = torch.optim.lr_scheduler.ReduceLROnPlateau
    optimizer, schedule = torch_schedule(lambda o: make(o, factor=0.5, patience=patience, threshold=0))
    options = OptimizerConfig(lr=0.1, schedule="plateau", plateau_factor=0.5)
    progress = Progress(smaller_is_better=True)
    for loss in np.random.default_rng(2).normal(size=40) + np.linspace(2, 0, 40):
        schedule.step(loss)
        progress = progress.with_value(loss)
        expected = optimizer.param_groups[0]["lr"]
        assert rate(options, 0, 1, progress.reductions(patience)) == pytest.approx(expected, abs=1e-6)


def test_progress_knows_best_and_stalled():
    progress = Progress([0.6, None, 0.7, 0.7, 0.65])
    assert progress.best_epoch == 3
    assert not progress.last_is_best
    assert progress.stalled(2)
    assert not progress.stalled(3)
    assert not progress.stalled(0)
    assert Progress([None]).best_epoch is None


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet_b0", "test_vit"])
def test_stages_cover_the_trunk_once_and_open_from_the_last(name):
    network: Any = timm.create_model(name, num_classes=3, in_chans=1)
    groups = stages(network)
    names = [name for group in groups for name in group]
    head = {id(p) for p in network.get_classifier().parameters()}
    assert sorted(names) == sorted(n for n, p in network.named_parameters() if id(p) not in head)
    model = ModelConfig(architecture=name, frozen_epochs=2, unfreeze_every=1)
    learning = []
    for epoch in range(2 + len(groups)):
        set_trainable(network, model, epoch)
        learning.append({n for n, p in network.named_parameters() if p.requires_grad})
    assert learning[0] == learning[1] == {n for n, p in network.named_parameters() if id(p) in head}
    assert learning[2] - learning[1] == set(groups[-1])
    assert learning[-1] == set(dict(network.named_parameters()))
    assert not set_trainable(network, model, 99)


def test_frozen_batch_norms_keep_their_statistics():
    network: Any = timm.create_model("resnet18", num_classes=2, in_chans=1)
    set_trainable(network, ModelConfig(frozen_epochs=1), 0)
    train_mode(network)
    before = network.bn1.running_mean.clone()
    network(torch.rand(4, 1, 32, 32))
    assert torch.equal(before, network.bn1.running_mean)
    set_trainable(network, ModelConfig(frozen_epochs=1), 1)
    train_mode(network)
    network(torch.rand(4, 1, 32, 32))
    assert not torch.equal(before, network.bn1.running_mean)


def test_the_batch_norm_head_folds_into_one_linear_layer_with_equal_logits():
    torch.manual_seed(0)  # at ten times the rate, three steps send the logits to 1e10 and more
    network: Any = timm.create_model("test_efficientnet", num_classes=3, in_chans=1)
    put_training_head(network, ModelConfig("test_efficientnet", head="batchnorm", dropout=0.4))
    films = torch.rand(16, 1, 64, 64)
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    for _ in range(3):
        network(films).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    network.eval()
    before = network(films)
    assert 0.01 < before.abs().max() < 1000
    fold_training_head(network)
    assert isinstance(network.get_classifier(), torch.nn.Linear)
    assert torch.allclose(before, network(films), atol=1e-5)
    plain = timm.create_model("test_efficientnet", num_classes=3, in_chans=1)
    plain.load_state_dict(network.state_dict())


def test_the_average_forgets_the_first_weights_soon():
    network = torch.nn.Linear(1, 1, bias=False)
    average: Any = average_of(network, 0.9)
    for value in (5.0, *[1.0] * 30):
        with torch.no_grad():
            network.weight.fill_(value)
        average.update_parameters(network)
    assert average.module.weight.item() == pytest.approx(1.0, abs=0.05)


def test_fp16_without_a_gpu_is_refused():
    with pytest.raises(InvalidRecipe, match="needs a GPU"):
        training_dtype("fp16", torch.device("cpu"), nn.Linear(1, 1))
    assert training_dtype("bf16", torch.device("cpu"), nn.Linear(1, 1)) is torch.bfloat16


def test_precision_auto_takes_the_faster_type_and_leaves_the_network_as_it_was(monkeypatch):
    """A clock by which a step in bfloat16 takes twice as long, then half as long, as one in float32."""
    network: Any = timm.create_model("test_resnet", in_chans=1, num_classes=2).train()
    films, before = torch.rand(4, 1, 32, 32), copy.deepcopy(network.state_dict())
    for costs, expected in (((1, 2), torch.float32), ((2, 1), torch.bfloat16)):
        now = itertools.accumulate(itertools.chain([0], itertools.cycle([costs[0], 0, costs[1], 0])))
        monkeypatch.setattr(precision, "time", SimpleNamespace(perf_counter=now.__next__))
        state = torch.get_rng_state()
        dtype, seconds = faster_dtype(network, films)
        assert dtype is expected
        assert seconds == dict(zip(("fp32", "bf16"), costs, strict=True))
        assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("asked", "device", "units", "variable", "groups", "measured"),
    [
        ("auto", "cpu", True, "", 1, True),
        ("auto", "cpu", False, "", 1, False),  # emulated bfloat16 is never faster
        ("auto", "cpu", True, "float32", 1, False),
        ("auto", "cuda", True, "", 1, False),
        ("fp32", "cpu", True, "", 1, False),
        ("auto", "cpu", True, "", 8, False),  # a depthwise convolution is too coarse in bfloat16
    ],
)
def test_precision_is_measured_only_where_both_types_may_win(
    asked, device, units, variable, groups, measured, monkeypatch
):
    monkeypatch.setattr("cxrcore.models.precision._fastest", lambda kind: torch.bfloat16 if units else torch.float32)
    monkeypatch.setenv("CXR_DTYPE", variable)
    assert is_measured(asked, torch.device(device), nn.Conv2d(8, 8, 3, groups=groups)) is measured


def test_the_next_batch_is_made_while_this_one_is_computed(monkeypatch):
    """The clock counts the wait for the first batch, and nothing of the consumer's own work."""
    now, asked = [0.0], threading.Event()
    made = [threading.Event() for _ in range(5)]

    def clock() -> float:
        seconds = now[0]
        asked.set()
        return seconds

    def source():
        assert asked.wait(60)
        now[0] += 3  # while the consumer waits for the first batch
        for k in range(5):
            made[k].set()
            yield k

    monkeypatch.setattr(prefetch, "time", SimpleNamespace(perf_counter=clock))
    prefetcher = Prefetcher(source())
    seen = []
    for item in prefetcher:
        assert all(event.wait(60) for event in made[: item + 2])
        now[0] += 10
        seen.append(item)
    assert seen == [0, 1, 2, 3, 4]
    assert prefetcher.waited == 3


def test_what_goes_wrong_while_fetching_arrives_and_leaving_early_ends_the_thread():
    def broken():
        yield 1
        raise ValueError("no film")

    with pytest.raises(ValueError, match="no film"):
        list(Prefetcher(broken()))
    for item in Prefetcher(iter(range(1000))):
        if item == 3:
            break
