"""What the verbs share: output on the terminal."""

from __future__ import annotations

import json


def print_json(data: dict) -> None:
    """One JSON object on one line of stdout; never NaN."""
    print(json.dumps(data, ensure_ascii=False, allow_nan=False), flush=True)
