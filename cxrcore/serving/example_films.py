"""Real films of public datasets, offered beside the drawn ones: fetched on a click, cached, with licence and credit.

    for film in list_example_films(): print(film.title, film.licence, film.url)    # no network
    path = fetch_example_film("kermany-normal-1")                                  # the Hub's cache, or the Hub

The four built in are Kermany's (2018, doi:10.1016/j.cell.2018.02.010; CC BY 4.0), from the public copy that
``cxr data get kermany`` uses: the first two films of each label in its smallest file, ``validation`` (16 films, 3 MB).
By their numbering its patients come after those of ``train``, from which the embedded pneumonia models learned. The
films' own names are dropped, so that an id tells nothing about a patient.

``CXR_EXAMPLES=user/dataset[@revision]`` names another dataset on the Hub instead: its ``examples.json`` is a list like
that of ``assets/examples``, each entry with a ``licence`` and the ``file`` that lies beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cxrcore.bundle.reference import MAIN, Reference, parse_reference
from cxrcore.datasets.public_copies import COPIES
from cxrcore.errors import CxrError, HubError, InvalidDataset
from cxrcore.films.radiograph import read_radiograph
from cxrcore.hub.client import (
    TIMEOUT_S,
    cache_folder,
    endpoint,
    list_files,
    matches_listing,
    quiet_client,
    translate_hub_errors,
    wait_at_most,
)
from cxrcore.storage import write_bytes
from cxrcore.text import size_text

EXAMPLES = "CXR_EXAMPLES"
INDEX = "examples.json"
DOWNLOAD_S = 60.0  # for one file, once the Hub has answered
MAX_BYTES = 30_000_000  # of one file; Kermany's has 3 MB
MAX_INDEX_BYTES, MAX_FILMS = 200_000, 50
_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".tif", ".tiff", ".webp")
_KERMANY = COPIES["kermany"].repo
_CACHE = "cxrcore"  # our folder in the dataset's part of the Hub's cache


@dataclass(frozen=True)
class ExampleFilm:
    """A film on offer."""

    id: str  # tells nothing about a patient
    title: str
    repo: str  # a dataset on the Hub
    licence: str
    credit: str  # who made it, as its licence asks
    url: str  # the dataset's page
    findings: tuple[str, ...] = ()  # as its source labels it
    revision: str | None = None  # None: the dataset's main branch
    where: str = ""  # Kermany: label/position, e.g. NORMAL/1; else the file's path


_OFFERED, _LABELLED = 2, 8  # of each class: beside the drawn films, and as cases to learn reading from
_KERMANY_FILMS = tuple(
    ExampleFilm(
        id=f"kermany-{label.lower()}-{position}",
        title=f"{label.capitalize()}, a child's film ({position} of {_OFFERED})",
        repo=_KERMANY,
        licence="CC BY 4.0",
        credit="Kermany, Zhang, Goldbaum 2018, Labeled Optical Coherence Tomography and Chest X-Ray Images",
        url=f"https://huggingface.co/datasets/{_KERMANY}",
        findings=(label.capitalize(),),
        where=f"{label}/{position}",
    )
    for label in ("NORMAL", "PNEUMONIA")
    for position in range(1, _LABELLED + 1)
)


def list_example_films(refresh: bool = False) -> tuple[ExampleFilm, ...]:
    """The films on offer.

    With ``CXR_EXAMPLES`` the list is the dataset's ``examples.json``: as last fetched, empty before that; ``refresh``
    fetches it. Otherwise no network is used. Raises HubError or InvalidDataset where the list cannot be fetched or
    read, or CXR_EXAMPLES names no dataset.
    """
    dataset = _dataset()
    if dataset is None:
        return tuple(film for film in _KERMANY_FILMS if int(film.where.split("/")[1]) <= _OFFERED)
    cached = _cache_path(dataset, INDEX, ".json")
    if refresh:
        content = fetch_dataset_file(dataset, INDEX, MAX_INDEX_BYTES).read_bytes()
        films = _read_index(content, dataset)
        _write(cached, content)
        return films
    return _read_index(cached.read_bytes(), dataset) if cached.is_file() else ()


def labelled_films() -> tuple[ExampleFilm, ...]:
    """The films whose findings are known, to learn reading from: more of Kermany's, or those of CXR_EXAMPLES."""
    return _KERMANY_FILMS if _dataset() is None else tuple(film for film in list_example_films() if film.findings)


def fetch_example_film(film_id: str) -> Path:
    """The film's file in the Hub's cache, fetched and checked if it is not there yet.

    Raises HubError where the Hub does not answer within 5 s or has no such film, UnreadableImage for a file that is no
    film, InvalidDataset where the dataset has changed; each with one sentence.
    """
    films = {film.id: film for film in (*labelled_films(), *list_example_films())}
    if film_id not in films:
        raise InvalidDataset(f"there is no public film {film_id!r}; there are: {', '.join(films) or 'none yet'}")
    film = films[film_id]
    dataset, suffix = Reference(film.repo, film.revision), PurePosixPath(film.where).suffix.lower() or ".jpeg"
    cached = _cache_path(dataset, film.where, suffix)
    if cached.is_file():
        return cached
    content = _from_kermany(film) if film.repo == _KERMANY else fetch_dataset_file(dataset, film.where).read_bytes()
    read_radiograph(content, name=film.title)
    _write(cached, content)
    return cached


def _dataset() -> Reference | None:
    name = os.environ.get(EXAMPLES, "").strip()
    if not name:
        return None
    dataset = parse_reference(name)
    if dataset is None:
        raise InvalidDataset(f"{EXAMPLES} is {name!r}, which names no dataset on the Hub; write user/dataset")
    return dataset


def _read_index(content: bytes, dataset: Reference) -> tuple[ExampleFilm, ...]:
    """The films a dataset lists. Raises InvalidDataset naming what is wrong with the list."""
    try:
        entries = json.loads(content.decode("utf-8"))
        films = tuple(_listed(entry, number, dataset) for number, entry in enumerate(entries, start=1))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InvalidDataset(
            f"the {INDEX} of {dataset} is no list of films with a file, a title and a licence each"
        ) from None
    if len(films) > MAX_FILMS:
        raise InvalidDataset(f"the {INDEX} of {dataset} lists {len(films)} films, and {MAX_FILMS} is the most offered")
    return films


def _listed(entry: dict[str, Any], number: int, dataset: Reference) -> ExampleFilm:
    title, licence = str(entry["title"]), str(entry["licence"]).strip()
    path = PurePosixPath(str(entry["file"]))
    if path.is_absolute() or ".." in path.parts or "\\" in str(path) or path.suffix.lower() not in _SUFFIXES:
        raise ValueError("a film lies in the dataset itself")
    if not licence:
        raise ValueError("a film has a licence")
    return ExampleFilm(
        id=f"example-{number}",
        title=title[:200],
        repo=dataset.repo,
        licence=licence[:100],
        credit=str(entry.get("credit") or dataset.repo)[:200],
        url=f"https://huggingface.co/datasets/{dataset.repo}",
        findings=tuple(str(finding) for finding in entry.get("findings", ())),
        revision=dataset.revision,
        where=str(path),
    )


def _from_kermany(film: ExampleFilm) -> bytes:
    """The film's bytes, unpacked from the public copy's smallest file."""
    import pyarrow as pa

    copy, (label, position) = COPIES["kermany"], film.where.split("/")
    archive = fetch_dataset_file(Reference(film.repo, film.revision), "data/validation-*")
    try:
        films, volume = copy.films(archive)
        if volume > 2 * MAX_BYTES:
            raise InvalidDataset(f"{archive.name} claims to unpack to {size_text(volume)}; it was not unpacked")
        wanted = [path for path in films if PurePosixPath(path).parent.name == label][int(position) - 1]
        (content,) = (content for _, content in copy.unpack(archive, {wanted}))
    except (pa.ArrowException, LookupError, ValueError, TypeError):
        raise InvalidDataset(f"the public copy {film.repo} has changed, so this film is not found there") from None
    return content


def fetch_dataset_file(dataset: Reference, wanted: str, limit: int = MAX_BYTES) -> Path:
    """A file of a public dataset in the client's cache, checked against the Hub's checksum; at most ``limit`` bytes.

    wanted: its path; one that ends in "*" stands for the first that begins so. Raises HubError and InvalidDataset.
    """
    from huggingface_hub import HfApi, hf_hub_download

    api = HfApi(endpoint=endpoint(), token=False)  # public datasets only
    with _dataset_errors(dataset), quiet_client():
        revision = dataset.revision or MAIN
        info = wait_at_most(
            lambda: api.dataset_info(dataset.repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S),
            TIMEOUT_S,
        )
        files = wait_at_most(lambda: list_files(api, info, "dataset"), TIMEOUT_S)
        paths = [path for path in files if path == wanted or (wanted[-1] == "*" and path.startswith(wanted[:-1]))]
        if not paths:
            raise InvalidDataset(f"the dataset {dataset.repo} has no {wanted}, so there is nothing to show")
        path = min(paths)
        file = files[path]
        if (size := file.size or 0) > limit:
            raise HubError(f"{path} of {dataset.repo} has {size_text(size)}, too much to fetch here")
        local = Path(
            wait_at_most(
                lambda: hf_hub_download(
                    dataset.repo,
                    path,
                    repo_type="dataset",
                    revision=info.sha,
                    cache_dir=cache_folder(),
                    endpoint=endpoint(),
                    token=False,
                    etag_timeout=TIMEOUT_S,
                ),
                DOWNLOAD_S,
            )
        )
    if not matches_listing(local, file):
        local.resolve().unlink(missing_ok=True)
        local.unlink(missing_ok=True)
        raise HubError(f"{path} of {dataset.repo} arrived damaged (not the Hub's checksum); try again")
    return local


@contextmanager
def _dataset_errors(dataset: Reference) -> Iterator[None]:
    from huggingface_hub import errors

    with translate_hub_errors(dataset, lambda: "the drawn films are here as ever"):
        try:
            yield
        except errors.RepositoryNotFoundError as error:
            raise HubError(
                f"there is no dataset {dataset.repo} on the Hub, or it is not public; check the name"
            ) from error


def _cache_path(dataset: Reference, where: str, suffix: str) -> Path:
    """Where a checked file of a dataset is cached; the film's own name is no part of it."""
    name = hashlib.sha256(f"{dataset}:{where}".encode()).hexdigest()[:16]
    return cache_folder() / f"datasets--{dataset.repo.replace('/', '--')}" / _CACHE / f"{name}{suffix}"


def _write(path: Path, content: bytes) -> None:
    """Cache a file. Raises CxrError where the cache is not writable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    except OSError:
        raise CxrError(
            "this film cannot be kept: the Hub's cache is full or not to be written to; set HF_HOME to another folder"
        ) from None
