"""Deploy a planned Space to the Hub: create it, fill it in one commit, give it what it needs, link the other screen.

    deploy_space(plan_space("user/film", "user/repo@v1"))

Running it again updates the Space; where nothing changed, nothing is sent.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxrcore.bundle.reference import Reference
from cxrcore.errors import HubError
from cxrcore.hub.client import TOKENS, Say, endpoint, list_files, quiet_client, translate_hub_errors
from cxrcore.publishing.commit import Published, check_push, commit_changes, find_changes, refuse_public
from cxrcore.publishing.spaces import CPU, SDK, SUFFIX, Screen, SpacePlan, default_other, linked, space_url, write_space
from cxrcore.serving.deployment import FILE, DeploymentConfig

if TYPE_CHECKING:
    from huggingface_hub import HfApi, SpaceHardware, SpaceInfo

SPACE_TOKEN = "CXR_SPACE_TOKEN"
_INITIAL_FILES = {".gitattributes", "README.md"}  # what the Hub puts into a new Space


def deploy_space(
    plan: SpacePlan, private: bool = False, secret_token: bool = False, say: Say = print, token: str | None = None
) -> Published:
    """Make the Space on the Hub equal to the plan, in one commit; without one where it is equal already.

    ``private``: a new Space is for its owner alone. ``secret_token``: give the Space a token as its secret HF_TOKEN;
    a Space whose model is not public gets one anyway. It is CXR_SPACE_TOKEN, which may be read-only, else the one in
    use; neither is ever shown. Raises HubError or InvalidBundle, in one sentence with the next step.
    """
    from huggingface_hub import HfApi

    check_push(plan.space, token)
    api = HfApi(endpoint=endpoint(), token=token)
    with _translate_errors(plan.space), quiet_client(), tempfile.TemporaryDirectory(prefix="cxr-deploy-") as scratch:
        api.create_repo(
            plan.space,
            repo_type="space",
            space_sdk=SDK[plan.kind],
            space_hardware=_paid_hardware(plan),  # at once: an account with credits and no plan may make no free Space
            private=private or None,
            exist_ok=True,
        )
        info = api.space_info(plan.space, files_metadata=True)
        _refuse_taken(plan, info)
        refuse_public(plan.space, info, private)
        other = _find_other(api, plan)
        if other is not None:
            plan = replace(plan, other=other.space)
        write_space(plan, staging := Path(scratch) / "space")
        if secret_token or plan.closed:
            _give_token(api, plan, secret_token, say)
        revision = _send(api, plan, staging, info, say)
        _request_hardware(api, plan, say)
        if other is not None:
            _link_back(api, plan, other, say)
    url = space_url(plan.space)
    say(f"the {plan.kind} is at {url}" + ("" if revision else ", as it was: nothing has changed"))
    return Published(url, revision or str(info.sha), unchanged=revision is None)


@contextmanager
def _translate_errors(space: str) -> Iterator[None]:
    """As ``translate_hub_errors``, with other sentences where a Space differs from a model."""
    from huggingface_hub.errors import HfHubHTTPError

    owner = space.split("/")[0]
    sentences = {
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
            if (sentence := sentences.get(error.response.status_code)) is None:
                raise
            raise HubError(sentence) from error


def _refuse_taken(plan: SpacePlan, info: SpaceInfo) -> None:
    """Raise HubError where the name belongs to another program or to the other screen."""
    files = {file.rfilename for file in info.siblings or ()}
    if FILE not in files and files - _INITIAL_FILES:
        raise HubError(f"{plan.space} is another program's Space; name a new one")
    if info.sdk not in (None, SDK[plan.kind]):
        example = f", such as {plan.space}{SUFFIX}" if plan.kind == "dashboard" else ""
        raise HubError(
            f"{plan.space} is a {info.sdk} Space, and the {plan.kind} needs a {SDK[plan.kind]} one; name another"
            + example
        )


@dataclass(frozen=True)
class _OtherSpace:
    """The other screen's Space as it is on the Hub."""

    space: str
    config: DeploymentConfig
    sha: str


def _find_other(api: HfApi, plan: SpacePlan) -> _OtherSpace | None:
    """The other screen's Space; None where the Hub has none of ours under that name."""
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

    name = plan.other or default_other(plan.space, plan.kind)
    if name is None:
        return None
    try:
        sha = str(api.space_info(name).sha)
        with tempfile.TemporaryDirectory(prefix="cxr-deploy-") as scratch:
            path = api.hf_hub_download(name, FILE, repo_type="space", revision=sha, local_dir=scratch)
            return _OtherSpace(name, DeploymentConfig.from_json(Path(path).read_text("utf-8")), sha)
    except (RepositoryNotFoundError, EntryNotFoundError, ValueError):
        return None


def _paid_hardware(plan: SpacePlan) -> SpaceHardware | None:
    """The hardware to ask for; None for the free one, with which every Space starts."""
    from huggingface_hub import SpaceHardware

    return SpaceHardware(plan.hardware) if plan.hardware != CPU else None


def _request_hardware(api: HfApi, plan: SpacePlan, say: Say) -> None:
    hardware = _paid_hardware(plan)
    if hardware and api.get_space_runtime(plan.space).requested_hardware != hardware:
        api.request_space_hardware(plan.space, hardware)
        say(f"asked for {plan.hardware} for {plan.space}, which the Hub bills while it runs")


def _give_token(api: HfApi, plan: SpacePlan, again: bool, say: Say) -> None:
    from huggingface_hub import get_token

    if not again and "HF_TOKEN" in api.get_space_secrets(plan.space):
        return
    value = os.environ.get(SPACE_TOKEN) or api.token or get_token()
    api.add_space_secret(plan.space, "HF_TOKEN", str(value), description="reads the model")
    whose = f"the one in {SPACE_TOKEN}" if os.environ.get(SPACE_TOKEN) else "the one in use here"
    say(f"gave {plan.space} a token, {whose}, as its secret HF_TOKEN, to read {plan.model}")


def _send(api: HfApi, plan: SpacePlan, staging: Path, info: SpaceInfo, say: Say) -> str | None:
    """Make the Space equal to the folder; returns the commit, or None where it was equal."""
    remote = list_files(api, info, "space")
    changes = find_changes(staging, remote, owned=lambda path: path != ".gitattributes")
    if changes.empty:
        return None
    size = sum((staging / path).stat().st_size for path in changes.send)
    say(f"sending {len(changes.send)} files ({size / 1e6:.1f} MB) to {plan.space}")
    for path in changes.delete:
        say(f"removing {path}, which is no part of it")
    return commit_changes(api, plan.space, staging, changes, f"Show {plan.model}", str(info.sha), repo_type="space")


def _link_back(api: HfApi, plan: SpacePlan, other: _OtherSpace, say: Say) -> None:
    """Write this Space's address into the other screen's, in one commit, unless it is there."""
    screen: Screen = "dashboard" if plan.kind == "app" else "app"
    config = linked(other.config, screen, plan.space)
    if config == other.config:
        return
    api.upload_file(
        path_or_fileobj=config.to_json().encode(),
        path_in_repo=FILE,
        repo_id=other.space,
        repo_type="space",
        commit_message=f"Link to {plan.space}",
        parent_commit=other.sha,
    )
    say(f"{other.space} links here now")
