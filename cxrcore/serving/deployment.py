"""What a deployed copy of this project shows: which model, and where the other screen is.

``cxr deploy`` writes ``deployed.json`` beside the screens; ``CXR_DEPLOYED`` names another file. Without a file a model
is chosen as on any computer, and no screen links to another.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from cxrcore.errors import CxrError
from cxrcore.resources import ROOT

FILE = "deployed.json"


@dataclass(frozen=True)
class DeploymentConfig:
    """What ``deployed.json`` holds; None: not set."""

    model: str | None = None  # an embedded name, or user/repo@commit on the Hub
    app: str | None = None  # the address of the app's page
    dashboard: str | None = None  # the address of the dashboard's page

    def to_json(self) -> str:
        """The file's content: the facts that are set."""
        return json.dumps({key: value for key, value in asdict(self).items() if value}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DeploymentConfig:
        """Read the file's content; other keys are ignored. Raises ValueError when it is malformed."""
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("it is no object")
        facts = {key: data.get(key) or None for key in ("model", "app", "dashboard")}
        for key, value in facts.items():
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{key} is no text")
            if value is not None and key != "model" and not value.startswith(("https://", "http://")):
                raise ValueError(f"{key} is no web address")
        return cls(**facts)


def read_deployment() -> DeploymentConfig:
    """The file that ``CXR_DEPLOYED`` names, else ``deployed.json`` in the project's folder, else nothing set.

    Raises CxrError when the file is malformed, or the one that was named cannot be read.
    """
    named = os.environ.get("CXR_DEPLOYED")
    path = Path(named) if named else ROOT / FILE
    if not named and not path.is_file():
        return DeploymentConfig()
    try:
        return DeploymentConfig.from_json(path.read_text("utf-8"))
    except OSError:
        raise CxrError(f"{path.name}, which CXR_DEPLOYED names, cannot be read; correct or unset it") from None
    except ValueError as error:
        why = "it is no JSON" if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)) else str(error)
        raise CxrError(f"{path.name} is malformed ({why}); deploy again, or correct it") from None
