"""Writes ``docs/api.md``, the endpoints for programs, from the code: ``python -m docs.api_page`` (``make figures``).

``tests/app/test_api_page.py`` fails where the document is stale, and runs its examples against a running app.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args, get_type_hints

from cxrcore.bundle.folder import embedded_models
from cxrcore.serving.catalog import Catalog
from cxrcore.storage import write_text
from page.api import ANSWERS, Api
from page.build import build_app

DOCUMENT = Path(__file__).with_name("api.md")
BEGIN = """# The app for programs

Written from the code by `python -m docs.api_page`; a test runs every example against a running app.

The running app answers programs at its own address, here `http://127.0.0.1:7860`. Each endpoint takes a film as a
file, answers once and keeps nothing: the upload is deleted as soon as it is read. A mistake is one sentence (a film
that cannot be read, a finding that the model does not know). Undefined values are null; keys may be added, none is
renamed. `model` is a name of `/models`; where others reach the page, only the models that its server offers. For
research and teaching only, never for diagnosis.
"""
PYTHON = """## From Python

`pip install gradio_client`; every film is sent with `handle_file`.

```python
from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")
film = handle_file("film.png")
answer = client.predict(film, model="nih14", api_name="/analyse")
print(answer["summary"])
for finding in (name for name, positive in answer["positive"].items() if positive):
    print(answer["sentences"][finding])
where = client.predict(film, model="nih14", finding="Effusion", method="gradcam", api_name="/explain")
print(where["boxes"])
print(client.predict(film, model="nih14", api_name="/shake")["intervals"]["Effusion"])
erased = client.predict(film, model="nih14", left=0.5, top=0.5, right=0.9, bottom=0.9, api_name="/erase")
print(erased["findings"]["Effusion"]["move"])
```
"""
CURL = """## With curl

A film is uploaded, an endpoint called with the path that comes back, and the answer read from a stream of events.

```bash
url=http://127.0.0.1:7860/gradio_api
path=$(curl -sf -F files=@film.png $url/upload | sed 's/^\\["\\(.*\\)"\\]$/\\1/')
film='{"path": "'$path'", "meta": {"_type": "gradio.FileData"}}'
event=$(curl -sf -H 'Content-Type: application/json' -d "{\\"data\\": [$film, \\"nih14\\"]}" $url/call/analyse \\
  | sed 's/.*"event_id": *"\\([^"]*\\)".*/\\1/')
curl -sfN $url/call/analyse/$event | sed -n 's/^data: //p'
```

The other endpoints take their parameters in the same list, in the order above.
"""
MCP = """## From a language model, by MCP

`pip install 'cxrcore[mcp]'`, then `cxr app --mcp` (or `CXR_MCP=1`): each endpoint is a tool of the server
`http://127.0.0.1:7860/gradio_api/mcp/` (streamable HTTP). A film is sent as a data URI; web addresses are refused.

```python
import asyncio, base64, json

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


async def ask() -> dict:
    film = "data:image/png;base64," + base64.b64encode(open("film.png", "rb").read()).decode()
    async with streamablehttp_client("http://127.0.0.1:7860/gradio_api/mcp/") as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            (tool,) = [tool.name for tool in (await session.list_tools()).tools if tool.name.endswith("analyse")]
            answer = await session.call_tool(tool, {"film": film, "model": "nih14"})
            return json.loads(answer.content[0].text)


print(asyncio.run(ask())["summary"])
```
"""


def document() -> str:
    """The text of ``docs/api.md``."""
    endpoints = _described()
    parts = [_endpoint(name, endpoints[f"/{name}"]) for name in ("models", "analyse", "explain", "shake", "erase")]
    return "\n".join([BEGIN, *parts, PYTHON, CURL, MCP]).rstrip() + "\n"


def _described() -> dict[str, Any]:
    """As the running app describes its endpoints, with the embedded models."""
    page = build_app(models=Catalog({name: name for name in embedded_models()}))
    endpoints: dict[str, Any] = page.get_api_info()["named_endpoints"]
    return endpoints


def _endpoint(name: str, described: dict[str, Any]) -> str:
    words = [" ".join(part.split()) for part in (inspect.getdoc(getattr(Api, name)) or "").split("\n\n")]
    lines = [f"## `/{name}`", "", "\n\n".join(words), ""]
    if described["parameters"]:
        rows = [_parameter(parameter) for parameter in described["parameters"]]
        lines += ["| parameter | type | unless given |", "|---|---|---|", *rows, ""]
    if name not in ANSWERS:
        return "\n".join([*lines, "The answer's keys are in [answer.md](answer.md).", ""])
    hints = get_type_hints(ANSWERS[name], include_extras=True)
    rows = [f"| `{key}` | {_type(hint)} | {get_args(hint)[1].description} |" for key, hint in hints.items()]
    return "\n".join([*lines, "| key | type | what it holds |", "|---|---|---|", *rows, ""])


def _parameter(parameter: dict[str, Any]) -> str:
    given = parameter["parameter_default"] if parameter["parameter_has_default"] else None
    kind = {"filepath": "file", "str": "text", "float": "number"}[parameter["python_type"]["type"]]
    return f"| `{parameter['parameter_name']}` | {kind} | {'' if given is None else f'`{given}`'} |"


def _type(hint: Any) -> str:
    """A type as JSON has it: ``number or null``, ``list of lists of numbers``, ``object``."""
    return " or ".join(_json_type(part) for part in _alternatives(get_args(hint)[0]))


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if type(None) in get_args(hint) else (hint,)


def _json_type(hint: Any) -> str:
    plain = {str: "text", float: "number", int: "number", bool: "true or false", type(None): "null"}
    if hint in plain:
        return plain[hint]
    if getattr(hint, "__origin__", None) is list:
        return "list of " + _json_type(get_args(hint)[0]).replace("list", "lists").removesuffix("s") + "s"
    return "object"


if __name__ == "__main__":
    write_text(DOCUMENT, document())
