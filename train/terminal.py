"""What the verbs of the command line share: the Typer application, JSON on stdout, one line for a mistake."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import typer

from cxrcore.errors import CxrError

USAGE_ERROR: Any = typer.BadParameter.__base__  # what Typer raises for anything mistyped; it has no public name

cli = typer.Typer(
    name="cxr",
    help="Chest X-ray classification for research and teaching, never for diagnosis.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; a user's mistake is one line on stderr and exit code 2."""
    try:
        return int(cli(list(arguments) or ["--help"], prog_name="cxr", standalone_mode=False) or 0)
    except USAGE_ERROR as error:
        print(f"cxr: {' '.join(error.format_message().split())}", file=sys.stderr)
        return 2
    except CxrError as error:
        print(f"cxr: {error}", file=sys.stderr)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        print("cxr: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `cxr predict ... | head`
        sys.stderr.close()
        return 0


def print_json(data: Mapping[str, Any]) -> None:
    """One JSON object on one line of stdout; never NaN."""
    print(json.dumps(data, ensure_ascii=False, allow_nan=False), flush=True)


def require_training(verb: str) -> None:
    """Raise CxrError where the packages of the extra ``train`` are not installed."""
    if any(find_spec(package) is None for package in ("accelerate", "tensorboard")):
        raise CxrError(f"cxr {verb} needs the training packages: pip install 'cxrcore[train]'")
