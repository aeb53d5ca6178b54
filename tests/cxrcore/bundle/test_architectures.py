"""One of timm's networks is built from its own module, and the rest of timm and torchvision is there when asked for."""

import json
import subprocess
import sys

import pytest

SLOW = (
    "torch._dynamo",
    "torch._inductor",
    "sympy",
    "timm.models.swin_transformer",
    "torchvision.models.swin_transformer",
)
PROGRAM = f"""
import json, sys
from cxrcore.bundle.architectures import create_network

answers = {{}}
create_network("tf_efficientnet_lite0", num_classes=2, in_chans=1)
network = create_network("resnet10t", num_classes=2, in_chans=1)
answers["slow"] = [name for name in {SLOW} if name in sys.modules]
for name in ("vit_tiny_patch16_224", "resnext50_32x4d"):
    answers[name] = type(create_network(name, num_classes=2)).__module__
try:
    create_network("resnet18_of_mine")
except RuntimeError as error:
    answers["unknown"] = str(error)

import timm, timm.models, torch, torchvision
import torchvision.ops.misc
assert timm.create_model("resnet10t").__class__ is network.__class__
assert len(timm.list_models()) > 1000
assert timm.models.group_parameters
assert torchvision.ops.misc.FrozenBatchNorm2d is timm.layers.norm_act.FrozenBatchNorm2d
assert torchvision.models.resnet18 and torchvision.transforms.Normalize
boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]])
kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist()
answers["whole"] = [kept, type(torchvision).__name__]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers():
    """A process builds one network after the other, then imports timm as anyone does: what it finds."""
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_network_is_built_without_the_compiler_and_the_other_architectures(answers):
    assert answers["slow"] == []


def test_timm_and_torchvision_are_whole_for_whoever_imports_them_afterwards(answers):
    assert answers["whole"] == [[0], "module"]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnext50_32x4d"])
def test_an_architecture_of_another_module_than_its_name_says_is_found(answers, name):
    assert answers[name].startswith("timm.models.")


def test_an_unknown_architecture_is_refused_as_timm_does(answers):
    assert answers["unknown"] == "Unknown model (resnet18_of_mine)"
