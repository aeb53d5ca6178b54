"""A planned Space is made on the Hub: created, filled in one commit, given what it needs, and linked with the other.

    deploy_space(plan_space("user/film", "user/repo@v1"))

Running it again updates it; where nothing changed, nothing is sent.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cxrcore.bundle.reference import Reference
from cxrcore.errors import HubError, InvalidBundle
from cxrcore.hub.client import TOKENS, endpoint, list_files, matches_listing, quiet_client, translate_hub_errors
from cxrcore.publishing.push import check_push
from cxrcore.publishing.spaces import CPU, SDK, SUFFIX, Kind, SpacePlan, address, linked, usual_other, write_space
from cxrcore.serving.deployment import FILE, DeploymentConfig

Say = Callable[[str], object]
SPACE_TOKEN = "CXR_SPACE_TOKEN"
_FRESH = {".gitattributes", "README.md"}  # what the Hub puts into a new Space


@dataclass(frozen=True)
class Deployment:
    """Where a screen is on the Hub now."""

    url: str
    revision: str  # the Space's commit
    unchanged: bool  # it was there already, to the byte; no commit was made


def deploy_space(
    plan: SpacePlan, private: bool = False, secret_token: bool = False, say: Say = print, token: str | None = None
) -> Deployment:
    """Make the Space on the Hub what the plan says, in one commit where it is not that already.

    ``private``: a new Space is for its owner alone. ``secret_token``: the Space gets a token as its secret HF_TOKEN;
    it does so anyway where the model is not public. That is CXR_SPACE_TOKEN, which may be one that only reads, else
    the one in use; neither is ever shown. Raises HubError or InvalidBundle, in one sentence with the next step.
    """
    from huggingface_hub import HfApi

    check_push(plan.space, token)
    api = HfApi(endpoint=endpoint(), token=token)
    with _plainly(plan.space), quiet_client(), tempfile.TemporaryDirectory(prefix="cxr-deploy-") as scratch:
        api.create_repo(
            plan.space,
            repo_type="space",
            space_sdk=SDK[plan.kind],
            space_hardware=_paid(plan),  # at once: an account with credits and no plan may make no free Space
            private=private or None,
            exist_ok=True,
        )
        there = api.space_info(plan.space, files_metadata=True)
        _refuse_other_kind(plan, there, private)
        other = _other(api, plan)
        if other is not None:
            plan = replace(plan, other=other.space)
        write_space(plan, ready := Path(scratch) / "space")
        if secret_token or plan.closed:
            _give_token(api, plan, secret_token, say)
        revision = _commit(api, plan, ready, there, say)
        if (paid := _paid(plan)) and api.get_space_runtime(plan.space).requested_hardware != paid:
            api.request_space_hardware(plan.space, paid)
            say(f"asked for {plan.hardware} for {plan.space}, which the Hub bills while it runs")
        if other is not None:
            _link_back(api, plan, other, say)
    say(f"the {plan.kind} is at {address(plan.space)}" + ("" if revision else ", as it was: nothing has changed"))
    return Deployment(address(plan.space), revision or str(there.sha), unchanged=revision is None)


@contextmanager
def _plainly(space: str) -> Iterator[None]:
    """As ``hub_access.translate_hub_errors``, of what the Hub says about Spaces alone."""
    from huggingface_hub.errors import HfHubHTTPError

    owner = space.split("/")[0]
    told = {
        402: f"the Hub asks {owner} to pay for {space} (402): its free hardware is for accounts with a plan, other "
        "hardware (--hardware cpu-upgrade) for those with credits; see https://huggingface.co/pricing, or host the "
        "page yourself, as docs/deploy.md shows",
        403: f"this token may not make or change {space} (403): use one that may write for {owner} ({TOKENS}), or name "
        "a Space of your own",
    }
    with translate_hub_errors(Reference(space)):
        try:
            yield
        except HfHubHTTPError as error:
            if (sentence := told.get(error.response.status_code)) is None:
                raise
            raise HubError(sentence) from error
        except ValueError as error:
            if "Invalid metadata in README.md" not in str(error):
                raise
            raise InvalidBundle(f"the Hub does not accept the Space's README: {' '.join(str(error).split())}") from None


def _refuse_other_kind(plan: SpacePlan, there: Any, private: bool) -> None:
    """Raise HubError where the name is taken by something that this deployment would bury."""
    files = {file.rfilename for file in there.siblings or ()}
    if FILE not in files and files - _FRESH:
        raise HubError(f"{plan.space} is another program's Space; name a new one")
    if there.sdk not in (None, SDK[plan.kind]):
        example = f", such as {plan.space}{SUFFIX}" if plan.kind == "dashboard" else ""
        raise HubError(
            f"{plan.space} is a {there.sdk} Space, and the {plan.kind} needs a {SDK[plan.kind]} one; name another"
            + example
        )
    if private and not there.private:
        raise HubError(
            f"{plan.space} is public already, and --private is for new ones; change it on its page, or name another"
        )


@dataclass(frozen=True)
class _Other:
    """The other screen's Space, as it is."""

    space: str
    told: DeploymentConfig
    sha: str


def _other(api: Any, plan: SpacePlan) -> _Other | None:
    """The Space of the other screen, where it is on the Hub and one of ours."""
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

    name = plan.other or usual_other(plan.space, plan.kind)
    if name is None:
        return None
    try:
        sha = api.space_info(name).sha
        with tempfile.TemporaryDirectory(prefix="cxr-deploy-") as scratch:
            path = api.hf_hub_download(name, FILE, repo_type="space", revision=sha, local_dir=scratch)
            return _Other(name, DeploymentConfig.from_json(Path(path).read_text("utf-8")), sha)
    except (RepositoryNotFoundError, EntryNotFoundError, ValueError):
        return None


def _paid(plan: SpacePlan) -> Any:
    """The hardware to ask for, as the client calls it; None for the free one, which every Space starts with."""
    from huggingface_hub import SpaceHardware

    return SpaceHardware(plan.hardware) if plan.hardware != CPU else None


def _give_token(api: Any, plan: SpacePlan, again: bool, say: Say) -> None:
    from huggingface_hub import get_token

    if not again and "HF_TOKEN" in api.get_space_secrets(plan.space):
        return
    value = os.environ.get(SPACE_TOKEN) or api.token or get_token()
    api.add_space_secret(plan.space, "HF_TOKEN", str(value), description="reads the model")
    whose = f"the one in {SPACE_TOKEN}" if os.environ.get(SPACE_TOKEN) else "the one in use here"
    say(f"gave {plan.space} a token, {whose}, as its secret HF_TOKEN, to read {plan.model}")


def _commit(api: Any, plan: SpacePlan, ready: Path, there: Any, say: Say) -> str | None:
    """The commit that made the Space equal to the folder; None where it was."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    remote = list_files(api, there, "space")
    local = {path.relative_to(ready).as_posix(): path for path in sorted(ready.rglob("*")) if path.is_file()}
    changed = [name for name, path in local.items() if name not in remote or not matches_listing(path, remote[name])]
    stale = [name for name in remote if name not in local and name != ".gitattributes"]
    if not changed and not stale:
        return None
    size = sum(local[name].stat().st_size for name in changed)
    say(f"sending {len(changed)} files ({size / 1e6:.1f} MB) to {plan.space}")
    for name in stale:
        say(f"removing {name}, which is no part of it")
    operations: list[Any] = [CommitOperationAdd(name, local[name]) for name in changed]
    operations += [CommitOperationDelete(name) for name in stale]
    message = f"Show {plan.model}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client's, about tables in a Space
        made = api.create_commit(
            plan.space, operations, commit_message=message, repo_type="space", parent_commit=there.sha
        )
    return str(made.oid)


def _link_back(api: Any, plan: SpacePlan, other: _Other, say: Say) -> None:
    """Tell the other screen where this one is, in one commit, unless it knows."""
    theirs: Kind = "dashboard" if plan.kind == "app" else "app"
    told = linked(other.told, theirs, plan.space)
    if told == other.told:
        return
    api.upload_file(
        path_or_fileobj=told.to_json().encode(),
        path_in_repo=FILE,
        repo_id=other.space,
        repo_type="space",
        commit_message=f"Link to {plan.space}",
        parent_commit=other.sha,
    )
    say(f"{other.space} links here now")
