"""A bundle goes to the Hugging Face Hub as one commit: exactly what may leave the machine. ``hub_pull`` fetches it.

    push_bundle(Path("runs/mine"), "user/repo")
    pull_bundle("user/repo@v1")                    # or cxrcore.load("user/repo@v1")

Nothing is sent before all of it has been looked at: the weights open, the card is one the Hub accepts, every file is by
its content what its name says, and per-film tables carry no id that is not public (``cxrcore.publishing.deidentify``).
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cxrcore.bundle.folder import (
    CONFIG,
    export_bundle,
    is_bundle_file,
    is_ensemble,
    member_folders,
    read_config,
    read_ensemble,
)
from cxrcore.bundle.reference import MAIN, Reference, reference_to
from cxrcore.datasets.boxes import BOXES, read_boxes, write_boxes
from cxrcore.errors import BundleNotFound, HubError, InvalidBundle
from cxrcore.hub.client import (
    TOKENS,
    Token,
    endpoint,
    list_files,
    matches_listing,
    quiet_client,
    translate_hub_errors,
    wait_at_most,
)
from cxrcore.hub.pull import newer_revision, pull_bundle
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.card_figures import is_of_its_scores
from cxrcore.publishing.deidentify import hashed_predictions, hasher, ids_are_public, refuse_films
from cxrcore.publishing.model_card import (
    CARD,
    ensemble_front_matter,
    front_matter,
    illustrate,
    with_addresses,
    with_front_matter,
    write_model_card,
)
from cxrcore.text import size_text

__all__ = ["Pushed", "check_push", "newer_revision", "prepare_push", "pull_bundle", "push_bundle"]

Say = Callable[[str], object]
_TABLE = "predictions.parquet"
_FOREIGN = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".py")


@dataclass(frozen=True)
class Pushed:
    """Where a bundle is on the Hub now."""

    url: str
    revision: str  # the commit
    unchanged: bool  # it was there already, to the byte; no commit was made


def push_bundle(
    folder: Path,
    repo: str,
    private: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    say: Say = print,
    token: Token = None,
) -> Pushed:
    """Make ``repo`` on the Hub (created where need be) hold the bundle in ``folder``, in one commit.

    ``revision``: a branch, made where need be. ``tag``: a name for the commit. ``token``: else HF_TOKEN or the login;
    it is never shown. A file that reached the Hub before a push broke off is not sent again. Raises HubError or
    InvalidBundle, in one sentence with the next step.
    """
    reference = reference_to(repo, revision)
    if not (folder / CONFIG).is_file():
        raise BundleNotFound(f"{folder.name!r} is no bundle (no {CONFIG}); train one, or name its folder")
    with tempfile.TemporaryDirectory(prefix="cxr-push-") as scratch:
        ready = Path(scratch) / "bundle"
        hashed = prepare_push(folder, ready, reference.repo)
        with (
            translate_hub_errors(reference, lambda: "files that arrived whole are kept: run it again"),
            warnings.catch_warnings(),
            quiet_client(),
        ):
            warnings.simplefilter("ignore")  # the client's, about tables in a model's repository
            return _send(ready, reference, private, tag, hashed, say, token)


def prepare_push(folder: Path, ready: Path, repo: str) -> list[str]:
    """Write into ``ready`` exactly what leaves the machine; returns which tables have hashed ids.

    Raises InvalidBundle where the bundle does not open, or a file is not what its name says.
    """
    hashed = copy_for_others(folder, ready)
    _write_cards(ready, repo)
    refuse_films(ready)
    return hashed


def copy_for_others(folder: Path, ready: Path) -> list[str]:
    """As ``prepare_push``, with the card as it is, which speaks of a folder and not of a repository."""
    export_bundle(folder, ready)
    for picture in ready.rglob("*.png"):
        if not is_of_its_scores(picture):
            picture.unlink()  # whatever it shows; the card's are drawn again
    refuse_films(ready)
    digest, hashed = hasher(), []
    for table in sorted([*folder.glob(f"evaluation/*/{_TABLE}"), *folder.glob(f"members/*/evaluation/*/{_TABLE}")]):
        path = table.relative_to(folder)
        if not is_bundle_file(path.as_posix()) or not (ready / path.parent / "metrics.json").is_file():
            continue
        predictions = Predictions.read(table)
        dataset = json.loads((ready / path.parent / "metrics.json").read_text("utf-8")).get("dataset", "")
        boxes = read_boxes(table.with_name(BOXES)) if table.with_name(BOXES).is_file() else ()
        if not ids_are_public(dataset, predictions.images):
            predictions = hashed_predictions(predictions, digest)
            boxes = tuple(replace(box, image=digest("image", box.image)) for box in boxes)
            hashed.append(path.as_posix())
            predictions.write(ready / path)
        else:
            shutil.copyfile(table, ready / path)
        if boxes:
            write_boxes(ready / path.with_name(BOXES), boxes)
            hashed += [path.with_name(BOXES).as_posix()] if path.as_posix() in hashed else []
    for recipe in (path for path in _files(ready) if path.endswith("recipe.yaml")):
        _forget_folders(ready / recipe)
    strangers = [path for path in _files(ready) if not is_bundle_file(path)]
    if strangers:
        raise InvalidBundle(f"{strangers[0]} is no part of a bundle, so nothing was sent; remove or rename it")
    refuse_films(ready)
    return hashed


def _forget_folders(recipe: Path) -> None:
    """Weights that a run began with are named by their file, not by where they lay on this machine."""
    text = recipe.read_text("utf-8")
    try:
        weights = str(yaml.safe_load(text)["model"]["weights"])
    except (yaml.YAMLError, KeyError, TypeError):
        return
    if Path(weights).is_absolute():
        recipe.write_text(text.replace(weights, Path(weights).name), "utf-8")


def _write_cards(ready: Path, repo: str) -> None:
    """Front matter and pictures from the measured scores, and how to load the model from where it will be."""
    card, several = ready / CARD, is_ensemble(ready)
    if several:
        config: Any = read_ensemble(ready)
        for member in member_folders(ready, config):
            illustrate(member)
        if not card.is_file():
            raise InvalidBundle(f"this ensemble has no {CARD}; make it again with cxr ensemble")
        card.write_text(with_front_matter(card.read_text("utf-8"), ensemble_front_matter(config, ready)), "utf-8")
    else:
        config = read_config(ready)
        if card.is_file():
            card.write_text(with_front_matter(card.read_text("utf-8"), front_matter(config, ready)), "utf-8")
        else:
            write_model_card(ready, config, pictures=False)
    illustrate(ready)
    card.write_text(with_addresses(card.read_text("utf-8"), config.name, repo, several), "utf-8")


def _send(
    ready: Path, reference: Reference, private: bool, tag: str | None, hashed: list[str], say: Say, token: Token
) -> Pushed:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    repo, branch = reference.repo, reference.revision or MAIN
    api = HfApi(endpoint=endpoint(), token=token)
    _refuse_reader(api)
    url = api.create_repo(repo, private=private, exist_ok=True)
    there: Any = api.model_info(repo, files_metadata=True)
    if private and not there.private:
        raise HubError(
            f"{repo} is public already, and --private is for new ones; change it on its page, or name another"
        )
    if branch != MAIN:
        api.create_branch(repo, branch=branch, exist_ok=True)
        there = api.model_info(repo, revision=branch, files_metadata=True)
    remote = list_files(api, there)
    local = _files(ready)
    _refuse_foreign(repo, remote)
    changed = [path for path in local if path not in remote or not matches_listing(ready / path, remote[path])]
    if all(path in hashed or path.endswith(".png") for path in changed):
        # Hashes are new each time, and pictures may come out a shade different elsewhere; these have changed where the
        # scores or weights beside them did, or not at all.
        changed = [path for path in changed if path not in remote]
    stale = [path for path in remote if is_bundle_file(path) and path not in local]
    if not changed and not stale:
        say(f"{repo} holds this bundle already, at {there.sha[:12]}")
        _tag(api, repo, tag, there.sha)
        return Pushed(f"{url}/tree/{there.sha}", there.sha, unchanged=True)
    for path in changed:
        note = ", ids hashed" if path in hashed else ""
        say(f"sending {path} ({size_text((ready / path).stat().st_size)}{note})")
    for path in stale:
        say(f"removing {path}, which this bundle does not have")
    operations: list[Any] = [CommitOperationAdd(path, ready / path) for path in changed]
    operations += [CommitOperationDelete(path) for path in stale]
    name = read_ensemble(ready).name if is_ensemble(ready) else read_config(ready).name
    try:
        made = api.create_commit(
            repo, operations, commit_message=f"Bundle {name}", revision=branch, parent_commit=there.sha
        )
    except ValueError as error:
        if "Invalid metadata in README.md" not in str(error):
            raise
        said = " ".join(str(error).split()).removeprefix("Invalid metadata in README.md. - ")
        raise InvalidBundle(f"the Hub does not accept the model card ({said}); correct it, and push again") from None
    _tag(api, repo, tag, made.oid)
    say(f"pushed to {url} at {made.oid[:12]}")
    return Pushed(f"{url}/tree/{made.oid}", made.oid, unchanged=False)


def check_push(repo: str, token: Token = None) -> None:
    """Raise HubError where no push to ``repo`` could follow: a mistyped name, no token, one that may not write."""
    from huggingface_hub import HfApi

    with translate_hub_errors(reference_to(repo)):
        _refuse_reader(HfApi(endpoint=endpoint(), token=token))


def _refuse_reader(api: Any) -> None:
    role = wait_at_most(api.whoami).get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise HubError(f"this token may only read; make one that may write at {TOKENS}, and set HF_TOKEN")


def _refuse_foreign(repo: str, remote: dict[str, Any]) -> None:
    """Raise HubError where the repository holds something other than a bundle, which a push would bury."""
    others = [path for path in remote if not is_bundle_file(path) and path.endswith(_FOREIGN)]
    if others:
        raise HubError(f"{repo} holds something other than a bundle ({others[0]}); name another user/repo")


def _tag(api: Any, repo: str, tag: str | None, revision: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    if tag is None:
        return
    try:
        api.create_tag(repo, tag=tag, revision=revision)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        there = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo).tags}
        if there.get(tag) != revision:
            raise HubError(
                f"the bundle is at {revision[:12]}, but {repo} has a tag {tag!r} elsewhere; choose another"
            ) from None


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
