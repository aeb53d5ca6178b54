"""Build one of timm's networks without importing all of timm.

``import timm`` loads every architecture, and through torchvision and ``torch.compiler.disable`` PyTorch's compiler
(``torch._dynamo``, ``torch._inductor``, sympy): 2 seconds of processor time, of which a ResNet needs a tenth.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from cxrcore.bundle.lazy_packages import lazy_packages

if TYPE_CHECKING:
    from torch import nn

_LAZY = ("timm", "timm.models", "torchvision", "torchvision.models", "torchvision.ops")


def create_network(architecture: str, **options: Any) -> nn.Module:
    """``timm.create_model(architecture, **options)``, same errors included.

    The module of timm that the name begins with (``resnet`` for ``resnet18``, ``efficientnet`` for
    ``tf_efficientnet_lite0``) is tried before all of them.
    """
    import_family(architecture)
    from timm.models import _factory, _registry

    if not _registry.is_model(architecture):
        importlib.import_module("timm").list_models  # noqa: B018  # the attribute runs the whole package
    network: nn.Module = _factory.create_model(architecture, **options)
    return network


def import_family(architecture: str) -> None:
    """Import as much of timm as creating this architecture takes."""
    with lazy_packages(*_LAZY):
        import timm.models
        import timm.version

        timm.__version__ = timm.version.__version__  # the one name that its submodules ask of the package
        families = [module.name for module in pkgutil.iter_modules(timm.models.__path__)]
        fitting = [name for name in families if architecture.removeprefix("tf_").startswith(name)]
        for name in ("_factory", *sorted(fitting, key=len)[-1:]):
            importlib.import_module(f"timm.models.{name}")
