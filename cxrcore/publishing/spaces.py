"""The folder of a Hugging Face Space that shows a model, made of this project's own files.

    plan = plan_space("user/film", "user/repo@v1")            # the app; kind="dashboard" is the other screen
    write_space(plan, Path("space"))                          # the folder that the Space holds
    space_upload.deploy_space(plan)                           # on the Hub, in one commit

A Space holds only what its screen needs, pinned: packages by a lock, the model by its commit. The Space downloads a
model that is on the Hub; a bundle on this computer is copied into the Space. ``deployed.json`` names the model and the
address of the other screen (``cxrcore.serving.deployment``).
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from cxrcore.bundle.folder import (
    embedded_models,
    embedded_name,
    is_bundle_file,
    is_ensemble,
    read_config,
    read_ensemble,
)
from cxrcore.bundle.reference import Reference, parse_reference
from cxrcore.datasets.public_copies import COPIES
from cxrcore.errors import CxrError, HubError
from cxrcore.hub.cache import cached_snapshot, model_folders
from cxrcore.hub.client import TIMEOUT_S, Say, endpoint, translate_hub_errors, wait_at_most
from cxrcore.hub.pull import pull_bundle
from cxrcore.models.opening import find_bundle
from cxrcore.publishing.commit import folder_files
from cxrcore.publishing.push import stage_bundle
from cxrcore.resources import ASSETS, ROOT, load_template
from cxrcore.serving.deployment import FILE, DeploymentConfig

Screen = Literal["app", "dashboard"]
PYTHON = "3.11"  # what the locks are made for
PORT = 7860  # of a screen in its container
CPU = "cpu-basic"  # the free hardware
SDK = {"app": "gradio", "dashboard": "docker"}
TITLES = {"app": "Chest X-ray classifier", "dashboard": "Chest X-ray classifier: how good is it?"}
SUFFIX = "-dashboard"  # by convention the dashboard of user/film is user/film-dashboard
_SOURCES = {
    "app": ("app.py", "page", "cxrcore", "assets/app", "assets/examples", "LICENSE"),
    "dashboard": ("dashboard", "cxrcore", "LICENSE"),
}
_NOT_SHIPPED = ("__pycache__", "*.pyc", "viewer.pyi", "upload.pyi", "build.pyi", ".DS_Store", "training")
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class SpacePlan:
    """What a Space will hold and show."""

    space: str  # user/space
    kind: Screen
    bundle: Path  # the model's folder on this computer
    reference: Reference | None = None  # the model's repository and commit; None: the bundle travels with the Space
    other: str | None = None  # the Space of the other screen, to link to
    hardware: str = CPU
    torch_index: str | None = None  # an index with smaller builds of torch
    closed: bool = False  # the model is private or gated: the Space needs a token, and cannot be built with it

    @property
    def model(self) -> str:
        """Reference that the screen opens: user/repo@commit, or the name of the bundle inside the Space."""
        return str(self.reference) if self.reference else embedded_name(_name(self.bundle))

    @property
    def deployed(self) -> DeploymentConfig:
        """Content of deployed.json."""
        config = DeploymentConfig(model=self.model)
        return linked(config, self.kind, self.other) if self.other else config


def space_url(space: str) -> str:
    """Address of the Space's page on the Hub; it may not be framed, so open it in a new tab.

    The bare ``hf.space`` host is not used: it does not know who is signed in, and its name can only be guessed where
    the Space's name is long or has dots.
    """
    return f"{_hub()}/spaces/{space}"


def _hub() -> str:
    return endpoint() or "https://huggingface.co"


def linked(config: DeploymentConfig, kind: Screen, other: str) -> DeploymentConfig:
    """The deployment of a screen with the address of the other one."""
    return replace(config, **{"dashboard" if kind == "app" else "app": space_url(other)})


def default_other(space: str, kind: Screen) -> str | None:
    """Name of the other screen's Space by convention; None where the convention gives none.

    >>> default_other("user/film", "app"), default_other("user/film-dashboard", "dashboard")
    ('user/film-dashboard', 'user/film')
    """
    if kind == "app":
        return space + SUFFIX
    return space.removesuffix(SUFFIX) if space.endswith(SUFFIX) else None


def plan_space(
    space: str,
    model: str,
    kind: Screen = "app",
    other: str | None = None,
    hardware: str | None = None,
    torch_index: str | None = None,
    offline: bool = False,
    say: Say = print,
) -> SpacePlan:
    """Check the arguments and pin the model to a commit.

    ``model``: ``user/repo[@revision]``, an embedded name or a bundle's folder. ``offline``: where the Hub cannot be
    reached, use the cached revision. Raises CxrError.
    """
    _check_arguments(space, kind, other, hardware, torch_index)
    reference = _on_hub(model)
    if reference is None:
        return SpacePlan(space, kind, find_bundle(model), None, other, hardware or CPU, torch_index)
    bundle, closed = _pull(reference, offline, say)
    pinned = Reference(reference.repo, bundle.name)
    return SpacePlan(space, kind, bundle, pinned, other, hardware or CPU, torch_index, closed)


def _check_arguments(space: str, kind: str, other: str | None, hardware: str | None, torch_index: str | None) -> None:
    """Raise CxrError for what ``cxr deploy`` cannot use."""
    from huggingface_hub import SpaceHardware

    for name in filter(None, (space, other)):
        if (reference := parse_reference(name)) is None or reference.revision:
            raise HubError(f"{name!r} is no name of a Space; write user/space")
    if kind not in get_args(Screen):
        raise CxrError(f"there is no screen {kind!r}; choose one of: {', '.join(get_args(Screen))}")
    if other == space:
        raise CxrError("a Space holds one screen; give --other the name of the other's Space")
    if hardware and hardware not in list(SpaceHardware):
        raise CxrError(f"there is no hardware {hardware!r}; choose one of: {', '.join(SpaceHardware)}")
    if torch_index and not torch_index.startswith("https://"):
        raise CxrError("--torch-index takes the https:// address of a package index")
    if not (ROOT / "Dockerfile").is_file():  # an installed wheel has app.py too
        raise CxrError("deploying needs the project's own folder, with app.py; run it from a copy of the repository")


def _on_hub(model: str) -> Reference | None:
    """The repository, unless an embedded bundle or a local folder has that name."""
    here = model in embedded_models() or Path(model.split("/")[0]).exists()
    return None if here else parse_reference(model)


def _pull(reference: Reference, offline: bool, say: Say) -> tuple[Path, bool]:
    """The model's folder, named by its commit, and whether downloading it needs a token."""
    from huggingface_hub import HfApi

    try:
        folder = pull_bundle(str(reference), say=say)
        with translate_hub_errors(reference):
            info = wait_at_most(lambda: HfApi(endpoint=endpoint()).model_info(reference.repo, timeout=TIMEOUT_S))
        return folder, bool(info.private or info.gated)
    except HubError as error:
        snapshot = cached_snapshot(reference) if offline else None
        if snapshot is None:
            raise
        say(f"{error}; {reference.repo} is pinned to {snapshot.name[:12]}, which is here")
        return snapshot, False


def write_space(plan: SpacePlan, out: Path) -> None:
    """Write the folder that the Space holds. Raises CxrError where ``out`` is in use or the bundle may not be sent."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CxrError(f"{out.name!r} is in use; choose a new folder")
    for source in _SOURCES[plan.kind]:
        _copy(ROOT / source, out / source)
    lock = (ASSETS / "deploy" / f"{plan.kind}.txt").read_text("utf-8")
    if plan.torch_index:
        lock = f"--extra-index-url {plan.torch_index}\n{lock}"
    _write(out / "requirements.txt", lock)
    if plan.kind == "dashboard":
        dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
        _write(
            out / "Dockerfile", with_arguments(dockerfile, SCREEN="dashboard", LOCK="requirements.txt", XSRF="false")
        )
    if plan.reference is None:
        _copy_bundle(plan.bundle, out / "assets" / "models" / _name(plan.bundle))
    _write(out / FILE, plan.deployed.to_json())
    _write(out / "README.md", _readme(plan, lock))


def with_arguments(dockerfile: str, **arguments: str) -> str:
    """Change the defaults of a Dockerfile's build arguments, for a host that passes none. Raises ValueError."""
    for name, value in arguments.items():
        dockerfile, count = re.subn(rf"^ARG {name}=.*$", f"ARG {name}={value}", dockerfile, flags=re.M)
        if count != 1:
            raise ValueError(f"the Dockerfile has no argument {name}")
    return dockerfile


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_NOT_SHIPPED))
    else:
        shutil.copyfile(source, target)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _name(bundle: Path) -> str:
    name = read_ensemble(bundle).name if is_ensemble(bundle) else read_config(bundle).name
    return name if _NAME.fullmatch(name) else bundle.resolve().name


def _copy_bundle(bundle: Path, target: Path) -> None:
    """Copy what a push would send, without tables of hashed ids: their hashes differ each time and force a commit."""
    for table in stage_bundle(bundle, target):
        (target / table).unlink()


def _readme(plan: SpacePlan, lock: str) -> str:
    """README.md: the front matter that makes a folder a Space, and a short text."""
    from huggingface_hub import SpaceCardData

    where = f"`{plan.model}`, in `assets/models`"
    if plan.reference:
        repo, commit = plan.reference.repo, plan.reference.revision
        where = f"[{repo}]({_hub()}/{repo}/tree/{commit}) at commit `{commit}`"
    template = load_template("cxrcore.publishing", f"space_{plan.kind}.md")
    text = template.render(title=TITLES[plan.kind], model=where, space=plan.space)
    card: Any = SpaceCardData(**_front_matter(plan, lock))
    return f"---\n{yaml.safe_dump(card.to_dict(), sort_keys=False, allow_unicode=True, width=100_000)}---\n\n{text}"


def _front_matter(plan: SpacePlan, lock: str) -> dict[str, Any]:
    bundle = plan.bundle
    configs = [read_config(folder) for folder in model_folders(bundle)]
    datasets = {config.provenance.get("dataset") for config in configs}
    front: dict[str, Any] = {
        "title": TITLES[plan.kind],
        "emoji": "🩻",
        "colorFrom": "blue",
        "colorTo": "gray",
        "sdk": SDK[plan.kind],
    }
    if plan.kind == "app":
        front |= {"sdk_version": pinned_version(lock, "gradio"), "python_version": PYTHON, "app_file": "app.py"}
    else:
        front |= {"app_port": PORT}
    front |= {
        "pinned": False,
        "fullWidth": True,
        "license": "apache-2.0",
        "short_description": "For research and teaching only, never for diagnosis",
        "suggested_hardware": plan.hardware,
        "tags": ["chest-x-ray", "medical-imaging", "cxrcore"],
        "datasets": sorted(COPIES[name].repo for name in datasets if name in COPIES) or None,
    }
    if plan.reference:
        front["models"] = [plan.reference.repo]
        if not plan.closed:
            front["preload_from_hub"] = [preload(plan.reference, bundle)]
    return front


def preload(reference: Reference, bundle: Path) -> str:
    """A line of ``preload_from_hub``, which builds the Space with the model in its cache: repository, files, commit.

    A name with a space or comma cannot be listed there; that file is downloaded when the Space starts.
    """
    paths = [path for path in folder_files(bundle) if is_bundle_file(path) and not re.search(r"[\s,]", path)]
    return f"{reference.repo} {','.join(paths)} {reference.revision}"


def pinned_version(lock: str, package: str) -> str:
    """Version of a package in a lock. Raises ValueError where the lock has none.

    >>> pinned_version("gradio==6.31.0", "gradio")
    '6.31.0'
    """
    match = re.search(rf"^{re.escape(package)}==(\S+)$", lock, re.M)
    if match is None:
        raise ValueError(f"{package} is not in the lock; make it again")
    return match[1]
