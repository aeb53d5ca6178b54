"""Records that become JSON."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar

import numpy as np


class JsonRecord:
    """Base of dataclasses whose fields are the keys of a JSON object, in its order."""

    _keys: ClassVar[tuple[str, ...]] = ()  # where they are not exactly the fields; properties count

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: arrays as lists, NaN as null, records as objects."""
        names = self._keys or [part.name for part in fields(self)]  # type: ignore[arg-type]
        return {name: json_ready(getattr(self, name)) for name in names}


def json_ready(value: Any) -> Any:
    """A value as JSON types, at any depth."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: json_ready(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        plain = value.astype(object)
        plain[np.isnan(value)] = None
        return plain.tolist()
    return list(value) if isinstance(value, tuple) else value
