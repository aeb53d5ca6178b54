"""What a deployed copy of this project shows: which model, and where the other screen is.

``cxr deploy`` writes ``deployed.json`` beside the screens; ``CXR_DEPLOYED`` names another file. Without one, nothing is
set: a model is chosen as ever, and no screen links to another.
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
class Deployed:
    """A deployment's facts, each None where nobody said it."""

    model: str | None = None  # an embedded name, or user/repo@commit on the Hub
    app: str | None = None  # the address of the app's page
    dashboard: str | None = None  # the address of the dashboard's page

    def to_json(self) -> str:
        """The file's content: what is set."""
        return json.dumps({key: value for key, value in asdict(self).items() if value}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Deployed:
        """Read the file's content; keys of other programs are left alone. Raises ValueError where it is malformed."""
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("it is no object")
        said = {key: data.get(key) or None for key in ("model", "app", "dashboard")}
        for key, value in said.items():
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{key} is no text")
            if value is not None and key != "model" and not value.startswith(("https://", "http://")):
                raise ValueError(f"{key} is no web address")
        return cls(**said)


def deployed() -> Deployed:
    """What ``CXR_DEPLOYED``, or ``deployed.json`` in the folder above ``cxrcore``, says; nothing without either.

    Raises CxrError when the file is malformed, or the one asked for is not there.
    """
    asked = os.environ.get("CXR_DEPLOYED")
    path = Path(asked) if asked else ROOT / FILE
    if not asked and not path.is_file():
        return Deployed()
    try:
        return Deployed.from_json(path.read_text("utf-8"))
    except OSError:
        raise CxrError(f"{path.name}, which CXR_DEPLOYED names, cannot be read; correct or unset it") from None
    except ValueError as error:
        why = "it is no JSON" if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)) else str(error)
        raise CxrError(f"{path.name} is malformed ({why}); deploy again, or correct it") from None
