"""Serves the main screen: ``python app.py``; ``python app.py --help`` lists the options."""

from __future__ import annotations

import argparse
import logging
import os
import queue
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec

from cxrcore.errors import CxrError
from cxrcore.hub.client import Token
from cxrcore.resources import keep_freed_memory
from cxrcore.serving.case_sets import open_case_sets, sources_from_environment
from cxrcore.serving.catalog import open_catalog
from cxrcore.serving.deployment import read_deployment
from cxrcore.serving.hub_catalog import hub_open_to_visitors, is_local
from cxrcore.serving.notices import DISCLAIMER

HUB = (
    "Visitors may open other models, user/repo[@revision], on the Hugging Face Hub: on this machine always, unless "
    "CXR_HUB=0; where others reach the page only with CXR_HUB=1, and then public ones only. Behind a proxy, where "
    "everybody looks local, set CXR_HUB=0."
)


def hub_for_visitors(host: str) -> tuple[bool, Token]:
    """Whether visitors may open any model of the Hub, and with which token: on a local server with its own (None)."""
    local = is_local(host)
    return hub_open_to_visitors(local), None if local else False


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with the environment's variables as defaults."""
    env, here = os.environ.get, "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    parser = argparse.ArgumentParser(
        "app.py", description="Serve the chest X-ray classifier as a web page. " + DISCLAIMER, epilog=HUB
    )
    parser.add_argument(
        "--model",
        default=env("CXR_MODEL"),
        help="task of an embedded model (nih14 by default), folder or user/repo[@revision] [CXR_MODEL]",
    )
    parser.add_argument("--host", default=env("CXR_HOST", here), help="address to listen on [CXR_HOST]")
    parser.add_argument("--port", default=env("CXR_PORT", "7860"), type=int, help="default 7860 [CXR_PORT]")
    parser.add_argument(
        "--mcp",
        action="store_true",
        default=env("CXR_MCP", "") not in ("", "0"),
        help="also answer language models by the Model Context Protocol, at /gradio_api/mcp/ [CXR_MCP=1]",
    )
    parser.add_argument(
        "--cases",
        action="append",
        metavar="SET.zip",
        help="offer this set of cases to learn reading from (see cxr teach): a file, or user/dataset/SET.zip on the "
        "Hub; may be repeated [CXR_CASES]",
    )
    return parser.parse_args(arguments)


def wait_for(stop: queue.SimpleQueue[int]) -> None:
    """Return once there is an item; looks every second, as a signal that another thread was given wakes nobody."""
    while True:
        with suppress(queue.Empty):
            stop.get(timeout=1)
            return


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until interrupted. Returns 2, after one line on stderr, for a mistake in the command."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for client in ("httpx", "httpx2"):
        logging.getLogger(client).setLevel(logging.WARNING)
    keep_freed_memory()  # nine films in one batch take half the time
    # An exception raised by a signal handler can be lost in a callback of the garbage collector; an item here is not.
    stop = queue.SimpleQueue[int]()
    signal.signal(signal.SIGTERM, lambda number, _: stop.put(number))
    with tempfile.TemporaryDirectory(prefix="cxr-uploads-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        from page.build import build_app

        try:
            if options.mcp and find_spec("mcp") is None:
                raise CxrError("--mcp needs the package mcp, which is not installed: pip install 'cxrcore[mcp]'")
            hub, token = hub_for_visitors(options.host)
            catalog = open_catalog(options.model or read_deployment().model, hub, token)
            page = build_app(models=catalog, cases=open_case_sets(options.cases or sources_from_environment(), hub))
            page.launch(server_name=options.host, server_port=options.port, mcp_server=options.mcp)
            print(f"The page is at http://{options.host}:{options.port}", flush=True)
            with suppress(KeyboardInterrupt):
                catalog[catalog.names[0]]  # loads the weights while the page answers already: its first film is quick
                wait_for(stop)
            page.close(verbose=False)
            return 0  # unwinds the stack, so that uploads are deleted
        except CxrError as error:
            message = str(error)
        except OSError as error:
            if "port" not in str(error):
                raise
            message = f"port {options.port} is taken; choose another with --port or CXR_PORT"
    print(f"app.py: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
