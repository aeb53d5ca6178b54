"""Import submodules of a package whose ``__init__`` is slow, and run that ``__init__`` only when it is needed."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_lock = threading.RLock()
_running: set[str] = set()  # names of packages whose code is running now, guarded by _lock


@contextmanager
def lazy_packages(*names: str) -> Iterator[None]:
    """Within the block, importing one of these packages (parents before children) leaves its own code for later.

    Its submodules import as usual, each once. The package's code runs at the first attribute that it lacks, in the same
    module object, so whoever imports the package itself notices nothing. Packages already imported stay as they are.
    """
    finder = _LazyFinder(names)
    with _lock:
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)


class _LazyPackage(ModuleType):
    """A package whose code has not run yet."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):  # what the import system and inspectors ask for is there, or does not exist
            with _lock:
                _run(self)
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _run(package: ModuleType) -> None:
    """Run the package's code, its parent's first; nothing where it has run or is running."""
    parent = sys.modules.get(package.__name__.rpartition(".")[0])
    if isinstance(parent, _LazyPackage):
        _run(parent)
    spec = package.__spec__
    if isinstance(package, _LazyPackage) and spec is not None and spec.loader is not None and spec.name not in _running:
        _running.add(spec.name)
        try:
            spec.loader.exec_module(package)
        finally:
            _running.remove(spec.name)
        # Only now, so that other threads wait for ``_lock``; mypy knows no assignment to __class__.
        setattr(package, "__class__", ModuleType)  # noqa: B010


class _LazyLoader(importlib.abc.Loader):
    """Makes a ``_LazyPackage`` in place of the module that the real loader would make."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self.loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _LazyPackage(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader


class _LazyFinder(importlib.abc.MetaPathFinder):
    """Finds the named packages as Python's own path finder does."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path) if fullname in self.names else None
        if spec is not None and spec.loader is not None:
            spec.loader = _LazyLoader(spec.loader)
        return spec
