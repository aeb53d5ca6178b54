"""A model becomes a page that a stranger can open: Hugging Face Spaces made from this project's own files.

    plan = plan_space("user/film", "user/repo@v1")            # the app; kind="dashboard" is the other screen
    write_space(plan, Path("space"))                          # the very folder that a Space holds
    space_upload.deploy_space(plan)                           # on the Hub, in one commit

A Space holds what its screen needs and nothing else, pinned: packages by a lock, the model by its commit. A model on
the Hub is fetched by the Space; a bundle on this computer travels inside. ``deployed.json`` tells the screen which
model it shows and where the other screen is (``cxrcore.serving.deployment``).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any, Literal, get_args

import yaml

from cxrcore.bundle.folder import EMBEDDED, is_bundle_file, is_ensemble, member_folders, read_config, read_ensemble
from cxrcore.bundle.reference import Reference, parse_reference
from cxrcore.datasets.public_copies import COPIES
from cxrcore.errors import CxrError, HubError
from cxrcore.hub.cache import cached_snapshot
from cxrcore.hub.client import TIMEOUT_S, endpoint, translate_hub_errors, wait_at_most
from cxrcore.hub.pull import pull_bundle
from cxrcore.models.opening import find_bundle
from cxrcore.publishing.push import stage_bundle
from cxrcore.resources import ROOT
from cxrcore.serving.deployment import FILE, DeploymentConfig

Kind = Literal["app", "dashboard"]
Say = Callable[[str], object]
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
    """What a Space will be."""

    space: str  # user/space
    kind: Kind
    bundle: Path  # the model's folder on this computer
    reference: Reference | None = None  # the model's repository and commit; None: the bundle travels with the Space
    other: str | None = None  # the Space of the other screen, to link to
    hardware: str = CPU
    torch_index: str | None = None  # an index with smaller builds of torch
    closed: bool = False  # the model is private or gated: the Space needs a token, and cannot be built with it

    @property
    def model(self) -> str:
        """As the screen opens it: user/repo@commit, or the name of the bundle that travels along."""
        return str(self.reference) if self.reference else _name(self.bundle)

    @property
    def deployed(self) -> DeploymentConfig:
        """What deployed.json says."""
        told = DeploymentConfig(model=self.model)
        return linked(told, self.kind, self.other) if self.other else told


def address(space: str) -> str:
    """The Space's page on the Hub, rather than its bare ``hf.space`` host, whose name can only be guessed where a
    Space's is long or has dots, and which does not know who is signed in. It may not be framed: open it in a new tab.
    """
    return f"{_hub()}/spaces/{space}"


def _hub() -> str:
    return endpoint() or "https://huggingface.co"


def linked(told: DeploymentConfig, kind: Kind, other: str) -> DeploymentConfig:
    """A screen's facts with the address of the other one."""
    return replace(told, **{"dashboard" if kind == "app" else "app": address(other)})


def usual_other(space: str, kind: Kind) -> str | None:
    """The Space where the other screen is by convention."""
    if kind == "app":
        return space + SUFFIX
    return space.removesuffix(SUFFIX) if space.endswith(SUFFIX) else None


def plan_space(
    space: str,
    model: str,
    kind: Kind = "app",
    other: str | None = None,
    hardware: str | None = None,
    torch_index: str | None = None,
    offline: bool = False,
    say: Say = print,
) -> SpacePlan:
    """Pin the model and check what was typed.

    ``model``: ``user/repo[@revision]``, an embedded name or a bundle's folder. ``offline``: where the Hub cannot be
    asked, the revision that is cached here will do. Raises CxrError.
    """
    from huggingface_hub import SpaceHardware

    for name in filter(None, (space, other)):
        if (found := parse_reference(name)) is None or found.revision:
            raise HubError(f"{name!r} is no name of a Space; write user/space")
    if kind not in get_args(Kind):
        raise CxrError(f"there is no screen {kind!r}; choose one of: {', '.join(get_args(Kind))}")
    if other == space:
        raise CxrError("a Space holds one screen; give --other the name of the other's Space")
    if hardware and hardware not in list(SpaceHardware):
        raise CxrError(f"there is no hardware {hardware!r}; choose one of: {', '.join(SpaceHardware)}")
    if torch_index and not torch_index.startswith("https://"):
        raise CxrError("--torch-index takes the https:// address of a package index")
    if not (ROOT / "Dockerfile").is_file():  # an installed wheel has app.py too
        raise CxrError("deploying needs the project's own folder, with app.py; run it from a copy of the repository")
    reference = _on_hub(model)
    if reference is None:
        return SpacePlan(space, kind, find_bundle(model), None, other, hardware or CPU, torch_index)
    bundle, closed = _pull(reference, offline, say)
    pinned = Reference(reference.repo, bundle.name)
    return SpacePlan(space, kind, bundle, pinned, other, hardware or CPU, torch_index, closed)


def _on_hub(model: str) -> Reference | None:
    """The repository meant, where no bundle or folder of that name is here."""
    here = (EMBEDDED / model).is_dir() or Path(model.split("/")[0]).exists()
    return None if here else parse_reference(model)


def _pull(reference: Reference, offline: bool, say: Say) -> tuple[Path, bool]:
    """The model's folder, named by its commit, and whether nobody may fetch it without a token."""
    from huggingface_hub import HfApi

    try:
        folder = pull_bundle(str(reference), say=say)
        with translate_hub_errors(reference):
            about = wait_at_most(lambda: HfApi(endpoint=endpoint()).model_info(reference.repo, timeout=TIMEOUT_S))
        return folder, bool(about.private or about.gated)
    except HubError as error:
        here = cached_snapshot(reference) if offline else None
        if here is None:
            raise
        say(f"{error}; {reference.repo} is pinned to {here.name[:12]}, which is here")
        return here, False


def write_space(plan: SpacePlan, out: Path) -> None:
    """Write the folder that the Space holds. Raises CxrError where ``out`` is in use or the bundle may not leave."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CxrError(f"{out.name!r} is in use; choose a new folder")
    for source in _SOURCES[plan.kind]:
        _copy(ROOT / source, out / source)
    lock = (ROOT / "assets" / "deploy" / f"{plan.kind}.txt").read_text("utf-8")
    if plan.torch_index:
        lock = f"--extra-index-url {plan.torch_index}\n{lock}"
    _write(out / "requirements.txt", lock)
    if plan.kind == "dashboard":
        dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
        _write(
            out / "Dockerfile", with_arguments(dockerfile, SCREEN="dashboard", LOCK="requirements.txt", XSRF="false")
        )
    if plan.reference is None:
        _travel(plan.bundle, out / "assets" / "models" / plan.model)
    _write(out / FILE, plan.deployed.to_json())
    _write(out / "README.md", _readme(plan, lock))


def with_arguments(dockerfile: str, **arguments: str) -> str:
    """A Dockerfile whose build arguments have other defaults, for a host that takes none."""
    for name, value in arguments.items():
        dockerfile, found = re.subn(rf"^ARG {name}=.*$", f"ARG {name}={value}", dockerfile, flags=re.M)
        if found != 1:
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


def _travel(bundle: Path, target: Path) -> None:
    """What a push would send, less tables whose ids had to be hashed: hashes are new each time, and so a new commit."""
    for table in stage_bundle(bundle, target):
        (target / table).unlink()


def _readme(plan: SpacePlan, lock: str) -> str:
    """The front matter that makes a folder a Space, and a few words for those who look behind the page."""
    from huggingface_hub import SpaceCardData

    bundle = plan.bundle
    folders = member_folders(bundle, read_ensemble(bundle)) if is_ensemble(bundle) else [bundle]
    configs = [read_config(folder) for folder in folders]
    learned = {config.provenance.get("dataset") for config in configs}
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
        "datasets": sorted(COPIES[name].repo for name in learned if name in COPIES) or None,
    }
    if plan.reference:
        front["models"] = [plan.reference.repo]
        if not plan.closed:
            front["preload_from_hub"] = [preload(plan.reference, bundle)]
    where = f"`{plan.model}`, in `assets/models`"
    if plan.reference:
        repo, commit = plan.reference.repo, plan.reference.revision
        where = f"[{repo}]({_hub()}/{repo}/tree/{commit}) at commit `{commit}`"
    body = Template((ROOT / "assets" / "deploy" / f"{plan.kind}.md").read_text("utf-8"))
    text = body.substitute(title=TITLES[plan.kind], model=where, space=plan.space)
    told = yaml.safe_dump(SpaceCardData(**front).to_dict(), sort_keys=False, allow_unicode=True, width=100_000)
    return f"---\n{told}---\n\n{text}"


def preload(reference: Reference, bundle: Path) -> str:
    """A line of ``preload_from_hub``: the repository, the bundle's files and the commit, so that the Space is built
    with the model in its cache. Names with a space or comma cannot be said there; they are fetched at the start."""
    files = (path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    said = sorted(path for path in files if is_bundle_file(path) and not re.search(r"[\s,]", path))
    return f"{reference.repo} {','.join(said)} {reference.revision}"


def pinned_version(lock: str, package: str) -> str:
    """The version of a package in a lock."""
    found = re.search(rf"^{re.escape(package)}==(\S+)$", lock, re.M)
    if found is None:
        raise ValueError(f"{package} is not in the lock; make it again")
    return found[1]
