"""``cxr deploy``: a screen for a model, as a Hugging Face Space or as the folder of one."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from cxrcore.publishing.space_upload import deploy_space
from cxrcore.publishing.spaces import Screen, plan_space, write_space


def deploy(
    space: str,
    model: str,
    kind: Screen = "app",
    dry_run: Path | None = None,
    other: str | None = None,
    private: bool = False,
    hardware: str | None = None,
    secret_token: bool = False,
    torch_index: str | None = None,
) -> None:
    """Deploy ``model`` as ``space``, or with ``dry_run`` only write the folder. Raises CxrError."""
    offline = dry_run is not None
    plan = plan_space(space, model, kind, other, hardware, torch_index, offline=offline, say=tqdm.write)
    if dry_run is None:
        deploy_space(plan, private=private, secret_token=secret_token, say=tqdm.write)
        return
    write_space(plan, dry_run)
    tqdm.write(f"{dry_run.name} holds the Space {space}, which shows {plan.model}; nothing was sent")
