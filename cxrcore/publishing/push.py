"""Push a bundle to the Hugging Face Hub as one commit that holds exactly what may leave the machine.

    push_bundle(Path("runs/mine"), "user/repo")
    pull_bundle("user/repo@v1")                    # or cxrcore.load("user/repo@v1")

Everything is checked before anything is sent: the weights open, the Hub accepts the card, every file's content is what
its name says, and per-film tables carry no id that is not public (``cxrcore.publishing.deidentify``).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
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
from cxrcore.evaluation.audit_report import AUDIT, named_films, read_audit
from cxrcore.hub.client import Say, Token, endpoint, list_files, quiet_client, translate_hub_errors
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.card_figures import matches_scores
from cxrcore.publishing.commit import (
    Changes,
    Published,
    commit_changes,
    find_changes,
    folder_files,
    refuse_public,
    refuse_reader,
)
from cxrcore.publishing.deidentify import Hasher, hashed_predictions, hasher, ids_are_public, refuse_films
from cxrcore.publishing.model_card import (
    CARD,
    ensemble_front_matter,
    front_matter,
    illustrate,
    show_checks,
    with_addresses,
    with_front_matter,
    write_model_card,
)
from cxrcore.text import size_text

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from cxrcore.hub.client import HubFile

_TABLE = "predictions.parquet"
_FOREIGN = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".py")


def push_bundle(
    folder: Path,
    repo: str,
    private: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    say: Say = print,
    token: Token = None,
) -> Published:
    """Make ``repo`` on the Hub hold the bundle in ``folder``, in one commit; it is created if it does not exist.

    ``revision``: a branch, created if it does not exist. ``tag``: a name for the commit. ``token``: HF_TOKEN or the
    login if not given; it is never shown. A large file that an interrupted push sent is not sent again. Raises HubError
    or InvalidBundle, in one sentence with the next step.
    """
    reference = reference_to(repo, revision)
    if not (folder / CONFIG).is_file():
        raise BundleNotFound(f"{folder.name!r} is no bundle (no {CONFIG}); train one, or name its folder")
    with tempfile.TemporaryDirectory(prefix="cxr-push-") as scratch:
        staging = Path(scratch) / "bundle"
        hashed = prepare_push(folder, staging, reference.repo)
        with (
            translate_hub_errors(reference, lambda: "files that arrived whole are kept: run it again"),
            quiet_client(),
        ):
            return _send(staging, reference, private, tag, hashed, say, token)


def prepare_push(folder: Path, staging: Path, repo: str) -> list[str]:
    """Write into ``staging`` exactly what leaves the machine; returns the paths of tables with hashed ids.

    Raises InvalidBundle where the bundle does not open, or a file is not what its name says.
    """
    hashed = stage_bundle(folder, staging)
    _write_cards(staging, repo)
    refuse_films(staging)
    return hashed


def stage_bundle(folder: Path, staging: Path) -> list[str]:
    """As ``prepare_push``, with an unchanged card: it names a folder and not a repository."""
    export_bundle(folder, staging)
    for picture in staging.rglob("*.png"):
        if not matches_scores(picture):
            picture.unlink()  # the figures of the card are drawn again
    refuse_films(staging)
    digest = hasher()
    tables = sorted([*folder.glob(f"evaluation/*/{_TABLE}"), *folder.glob(f"members/*/evaluation/*/{_TABLE}")])
    hashed = [path for table in tables for path in _stage_table(table, folder, staging, digest)]
    for table in sorted([*folder.glob(f"evaluation/*/{AUDIT}"), *folder.glob(f"members/*/evaluation/*/{AUDIT}")]):
        _stage_audit(table, staging / table.relative_to(folder))
    for recipe in (path for path in folder_files(staging) if path.endswith("recipe.yaml")):
        _remove_local_path(staging / recipe)
    if others := [path for path in folder_files(staging) if not is_bundle_file(path)]:
        raise InvalidBundle(f"{others[0]} is no part of a bundle, so nothing was sent; remove or rename it")
    refuse_films(staging)
    return hashed


def _stage_table(table: Path, folder: Path, staging: Path, digest: Hasher) -> list[str]:
    """Copy a per-film table and its boxes, with hashed ids where they are not public; returns the hashed paths."""
    path = table.relative_to(folder)
    if not is_bundle_file(path.as_posix()) or not (staging / path.parent / "metrics.json").is_file():
        return []
    predictions = Predictions.read(table)
    dataset = json.loads((staging / path.parent / "metrics.json").read_text("utf-8")).get("dataset", "")
    boxes = read_boxes(table.with_name(BOXES)) if table.with_name(BOXES).is_file() else ()
    public = ids_are_public(dataset, predictions.images)
    if public:
        shutil.copyfile(table, staging / path)
    else:
        hashed_predictions(predictions, digest).write(staging / path)
        boxes = tuple(replace(box, image=digest("image", box.image)) for box in boxes)
    written = [path.as_posix()]
    if boxes:
        write_boxes(staging / path.with_name(BOXES), boxes)
        written.append(path.with_name(BOXES).as_posix())
    return [] if public else written


def _stage_audit(audit: Path, target: Path) -> None:
    """Copy an audit where the films that it names are public; its sources may be a hospital's, so nothing is hashed."""
    target.unlink(missing_ok=True)
    scores = target.parent / "metrics.json"
    if not scores.is_file():
        return
    dataset = json.loads(scores.read_text("utf-8")).get("dataset", "")
    if ids_are_public(dataset, np.array(named_films(read_audit(audit)), dtype=str)):
        shutil.copyfile(audit, target)


def _remove_local_path(recipe: Path) -> None:
    """Name the initial weights in a recipe by their file name, without the folder on this machine."""
    text = recipe.read_text("utf-8")
    try:
        weights = str(yaml.safe_load(text)["model"]["weights"])
    except (yaml.YAMLError, KeyError, TypeError):
        return
    if Path(weights).is_absolute():
        recipe.write_text(text.replace(weights, Path(weights).name), "utf-8")


def _write_cards(staging: Path, repo: str) -> None:
    """Write the card with front matter and figures of the measured scores, and how to load it from ``repo``."""
    card, ensemble = staging / CARD, is_ensemble(staging)
    if ensemble:
        members = read_ensemble(staging)
        name, front = members.name, ensemble_front_matter(members, staging)
        for member in member_folders(staging, members):
            illustrate(member)
        if not card.is_file():
            raise InvalidBundle(f"this ensemble has no {CARD}; make it again with cxr ensemble")
    else:
        config = read_config(staging)
        name, front = config.name, front_matter(config, staging)
        if not card.is_file():
            write_model_card(staging, config, pictures=False)
    card.write_text(with_front_matter(card.read_text("utf-8"), front), "utf-8")
    show_checks(staging)
    illustrate(staging)
    card.write_text(with_addresses(card.read_text("utf-8"), name, repo, ensemble), "utf-8")


def _send(
    ready: Path, reference: Reference, private: bool, tag: str | None, hashed: list[str], say: Say, token: Token
) -> Published:
    from huggingface_hub import HfApi

    repo, branch = reference.repo, reference.revision or MAIN
    api = HfApi(endpoint=endpoint(), token=token)
    refuse_reader(api)
    url = api.create_repo(repo, private=private, exist_ok=True)
    info = api.model_info(repo, files_metadata=True)
    refuse_public(repo, info, private)
    if branch != MAIN:
        api.create_branch(repo, branch=branch, exist_ok=True)
        info = api.model_info(repo, revision=branch, files_metadata=True)
    remote, parent = list_files(api, info), str(info.sha)
    _refuse_foreign(repo, remote)
    changes = find_changes(ready, remote, owned=is_bundle_file)
    if all(path in hashed or path.endswith(".png") for path in changes.send):
        # Hashes are new each time, and figures may differ by a shade elsewhere: alone they are no reason to send.
        changes = Changes([path for path in changes.send if path not in remote], changes.delete)
    if changes.empty:
        say(f"{repo} holds this bundle already, at {parent[:12]}")
        _tag(api, repo, tag, parent)
        return Published(f"{url}/tree/{parent}", parent, unchanged=True)
    for path in changes.send:
        note = ", ids hashed" if path in hashed else ""
        say(f"sending {path} ({size_text((ready / path).stat().st_size)}{note})")
    for path in changes.delete:
        say(f"removing {path}, which this bundle does not have")
    name = read_ensemble(ready).name if is_ensemble(ready) else read_config(ready).name
    sha = commit_changes(api, repo, ready, changes, f"Bundle {name}", parent, branch)
    _tag(api, repo, tag, sha)
    say(f"pushed to {url} at {sha[:12]}")
    return Published(f"{url}/tree/{sha}", sha, unchanged=False)


def _refuse_foreign(repo: str, remote: dict[str, HubFile]) -> None:
    """Raise HubError where the repository holds something other than a bundle, which a push would bury."""
    others = [path for path in remote if not is_bundle_file(path) and path.endswith(_FOREIGN)]
    if others:
        raise HubError(f"{repo} holds something other than a bundle ({others[0]}); name another user/repo")


def _tag(api: HfApi, repo: str, tag: str | None, revision: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    if tag is None:
        return
    try:
        api.create_tag(repo, tag=tag, revision=revision)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo).tags}
        if tags.get(tag) != revision:
            raise HubError(
                f"the bundle is at {revision[:12]}, but {repo} has a tag {tag!r} elsewhere; choose another"
            ) from None
