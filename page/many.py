"""Many films: the page sends them a few at a time, and later its table to be scored; nothing of them is kept.

Every request stands alone, so that visitors' films cannot be mixed, and a closed page sends no more of them. A body is
one line of JSON and then bytes: the films one after the other, or a table.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cxrcore.datasets.files import FILM_SUFFIXES
from cxrcore.datasets.film_files import MAX_ARCHIVE_BYTES, MAX_ARCHIVE_FILES, MAX_RATIO, damaged_in_archive
from cxrcore.errors import CxrError
from cxrcore.serving.batch import ReadFilm, labelled_parquet, predict_read, read_film, score_list, table_parquet
from page.payloads import MAX_UPLOAD_BYTES, UNFORESEEN, Payload

if TYPE_CHECKING:
    from cxrcore.models.base import Model
    from cxrcore.serving.catalog import Catalog

PARALLEL = min(4, os.cpu_count() or 1)  # requests of films answered at a time; each computes on one thread
MAX_FILMS = 16  # in a request
MAX_WAITING_BYTES = 1_000_000_000  # of all requests that are here
THUMBNAIL_SIDE = 112
LIMITS: Payload = {  # what the page has to know
    "films": MAX_ARCHIVE_FILES,
    "bytes": MAX_ARCHIVE_BYTES,
    "ratio": MAX_RATIO,
    "film_bytes": MAX_UPLOAD_BYTES,
    "suffixes": sorted(FILM_SUFFIXES),
    "batch_films": MAX_FILMS,
    "batch_bytes": 24_000_000,
    "parallel": PARALLEL + 1,  # one comes in while the others are computed
}
_MAX_HEADER = 100_000
_MAX_TABLES = 200_000_000


log = logging.getLogger("app")


class _Waiting:
    """What requests of all visitors hold and wait for."""

    bytes = 0
    slots = anyio.CapacityLimiter(PARALLEL)


class _Refused(CxrError):
    """A request that is answered with an HTTP status of its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class _Body:
    """A request: its line of JSON, and the rest."""

    header: dict[str, Any]
    content: memoryview

    def parts(self, *sizes: object) -> list[bytes]:
        """The content cut into pieces of these many bytes, which the page states. Raises _Refused."""
        whole = [size if isinstance(size, int) and size >= 0 else -1 for size in sizes]
        if min(whole) < 0 or sum(whole) != len(self.content):
            raise _Refused(400, "The sizes stated do not add up to what was sent.")
        ends = [sum(whole[: k + 1]) for k in range(len(whole))]
        return [bytes(self.content[end - size : end]) for size, end in zip(whole, ends, strict=True)]


async def _read_films(request: Request, body: _Body, model: Model) -> Response:
    """Films with one model: header ``files``, each of ``name`` and ``size``; content: one film after the other.

    A file may have ``crc``, the CRC-32 that an archive states of it.
    The answer has for each film in order what ``cxr predict --json`` prints, and a thumbnail.
    """
    files = body.header.get("files")
    if not isinstance(files, list) or not 0 < len(files) <= MAX_FILMS or not all(isinstance(f, dict) for f in files):
        raise _Refused(400, f"A request holds 1 to {MAX_FILMS} films.")
    contents = body.parts(*(file.get("size") for file in files))
    async with _Waiting.slots:
        await _stop_if_gone(request)
        films = await run_sync(_read_all, model, files, contents)
        await _stop_if_gone(request)
        predictions = await run_sync(predict_read, model, films)
    log.info("%d films of a list read", len(films))
    rows = [
        {"path": film.path, "thumbnail": film.thumbnail}
        | ({"error": film.error} if prediction is None else prediction.to_dict())
        for film, prediction in zip(films, predictions, strict=True)
    ]
    return JSONResponse({"kind": "films", "films": rows})


async def _stop_if_gone(request: Request) -> None:
    if await request.is_disconnected():
        raise ClientDisconnect


def _read_all(model: Model, files: Sequence[dict[str, Any]], contents: Sequence[bytes]) -> list[ReadFilm]:
    return [_read_film(model, file, content) for file, content in zip(files, contents, strict=True)]


def _read_film(model: Model, file: dict[str, Any], content: bytes) -> ReadFilm:
    path, checksum = str(file.get("name"))[:1000], file.get("crc")
    if checksum is not None and checksum != zlib.crc32(content):
        return ReadFilm(path, error=str(damaged_in_archive(path)))
    return read_film(model, path, content, thumbnail_side=THUMBNAIL_SIDE)


async def _score_table(_: Request, body: _Body, model: Model) -> Response:
    """A table against a label file: header ``labels`` (the file's name), ``sizes``; content: the file, the table.

    The answer: ``metrics`` (metrics.json), ``notes``, and what each film is labelled.
    """
    labels, table = _two_parts(body)
    scored = await run_sync(score_list, model, table, labels, _label_file(body))
    films = scored.films
    labelled = {
        image: [name for name, target in zip(films.labels, row, strict=True) if target == 1]
        for image, row in zip(films.images.tolist(), films.targets.tolist(), strict=True)
    }
    metrics = scored.metrics.to_dict()
    return JSONResponse({"kind": "scores", "metrics": metrics, "notes": list(films.notes), "labelled": labelled})


async def _as_parquet(_: Request, body: _Body, __: Model) -> Response:
    """A table as Parquet: header and content as for ``_score_table``; joined with the labels where there are some."""
    labels, table = _two_parts(body)
    if labels:
        content = await run_sync(labelled_parquet, table, labels, _label_file(body))
    else:
        content = await run_sync(table_parquet, table)
    return Response(content, media_type="application/vnd.apache.parquet")


def _two_parts(body: _Body) -> list[bytes]:
    sizes = body.header.get("sizes")
    if not isinstance(sizes, list) or len(sizes) != 2:
        raise _Refused(400, "A label file, which may be empty, and a table are expected.")
    return body.parts(*sizes)


def _label_file(body: _Body) -> str:
    return str(body.header.get("labels") or "labels.csv")[:200]


def _route(name: str, work: Callable[[Request, _Body, Model], Awaitable[Response]], most_bytes: int) -> Route:
    """A route whose failures are one sentence, as JSON of kind ``error``; details go to the server's log."""

    async def endpoint(request: Request) -> Response:
        try:
            async with _body(request, most_bytes) as body:
                catalog: Catalog = request.app.get_blocks().catalog
                model = await run_sync(catalog.__getitem__, str(body.header.get("model")))
                return await work(request, body, model)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except CxrError as error:
            return JSONResponse({"kind": "error", "message": str(error)}, getattr(error, "status", 422))
        except Exception:
            log.exception("unforeseen failure")
            return JSONResponse({"kind": "error", "message": UNFORESEEN}, 500)

    return Route(f"/gradio_api/many/{name}", endpoint, methods=["POST"])


@asynccontextmanager
async def _body(request: Request, most_bytes: int) -> AsyncIterator[_Body]:
    """The body in memory, for as long as the block runs. Raises _Refused."""
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            _Waiting.bytes += len(chunk)
            if len(content) > most_bytes:
                raise _Refused(413, f"This is more than {most_bytes // 1_000_000} MB, the most that is read at once.")
            if _Waiting.bytes > MAX_WAITING_BYTES:
                raise _Refused(503, "Many films are being read here just now; try again in a minute.")
        end = content.find(b"\n", 0, _MAX_HEADER)
        try:
            header = json.loads(content[: max(end, 0)])
        except ValueError:
            header = None
        if not isinstance(header, dict):
            raise _Refused(400, "A line of JSON is expected first.")
        yield _Body(header, memoryview(content)[end + 1 :])
    finally:
        _Waiting.bytes -= len(content)


ROUTES = [
    _route("films", _read_films, MAX_UPLOAD_BYTES + _MAX_HEADER),
    _route("scores", _score_table, _MAX_TABLES),
    _route("parquet", _as_parquet, _MAX_TABLES),
]
