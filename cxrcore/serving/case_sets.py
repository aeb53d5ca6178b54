"""The sets of cases that the page offers to read, by the address in its link (``#learn=ADDRESS``).

    phantoms-20-7             20 drawn films of seed 7
    public                    the public films whose findings are known (``serving.example_films``)
    NAME                      a set that the server was started with (``--cases NAME.zip``, ``CXR_CASES``)
    user/dataset[@rev]/F.zip  a set in a public dataset on the Hugging Face Hub, where visitors may open the Hub

A link never names a path of the server or an address of another host.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict, TypeVar

import numpy as np

from cxrcore.bundle.reference import Reference, parse_reference
from cxrcore.datasets.case_set import Case, CaseSet, Corners, phantom_set, read_case_set
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.films.radiograph import read_radiograph
from cxrcore.findings import LABEL_SETS, Kind, LabelSet
from cxrcore.predictions.column_names import known_finding
from cxrcore.serving.example_films import ExampleFilm, fetch_dataset_file, fetch_example_film, labelled_films

CASES = "CXR_CASES"  # paths or addresses on the Hub, separated as in PATH
PUBLIC = "public"
MAX_HUB_BYTES = 200_000_000
MOST_PHANTOMS = 200
_PHANTOMS = re.compile(r"phantoms-(\d{1,4})-(\d{1,6})")
_ON_HUB = re.compile(r"(?:hf://(?:datasets/)?)?([^/@]+/[^/@]+(?:@[\w.-]+)?)/((?:[\w-][\w .-]*/)*[\w-][\w .-]*\.zip)")
_MOST_SETS, _MOST_CASES, _MOST_BOXES = 16, 24, 5000  # in memory; a film may have a few megabytes
_T = TypeVar("_T")


class SetEntry(TypedDict):
    """A set in the page's menu."""

    address: str
    title: str
    cases: int


class CaseSets:
    """Sets by address.

    files: name -> path of those that the server was started with; on_hub: addresses on the Hub that it was started
    with; open_hub: whether visitors may open others.
    """

    def __init__(
        self, files: dict[str, Path] | None = None, on_hub: Sequence[str] = (), open_hub: bool = False
    ) -> None:
        self.open_hub = open_hub
        self._files, self._on_hub = files or {}, tuple(on_hub)
        self._sets: OrderedDict[Hashable, CaseSet] = OrderedDict()
        self._cases: OrderedDict[Hashable, Case] = OrderedDict()
        self._boxes: OrderedDict[Hashable, Mapping[str, tuple[Corners, ...]]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def menu(self) -> list[SetEntry]:
        """The sets that the server was started with, and the public films where there are any."""
        entries: list[SetEntry] = []
        for name in self._files:
            chosen = self[name]
            entries.append({"address": name, "title": chosen.title, "cases": len(chosen)})
        entries += [{"address": address, "title": address, "cases": 0} for address in self._on_hub]
        films = _public_films()
        if films:
            title = f"Public films, {', '.join(sorted({film.repo for film in films}))}"
            entries.append({"address": PUBLIC, "title": title, "cases": len(films)})
        return entries

    def __getitem__(self, address: str) -> CaseSet:
        """The set of an address. Raises CxrError with one sentence where there is none."""
        return _kept(self._sets, self._lock, address, _MOST_SETS, partial(self._open, address))

    def case(self, address: str, row: int) -> Case:
        """A case of a set; the last few are kept. Raises CxrError where the row is not one of the set's."""
        chosen = self[address]
        if not 0 <= row < len(chosen):
            raise InvalidDataset(f"this set has {len(chosen)} cases, and there is no case {row + 1}")
        case = _kept(self._cases, self._lock, (address, row), _MOST_CASES, partial(chosen.open, row))
        _kept(self._boxes, self._lock, (address, row), _MOST_BOXES, lambda: case.boxes)
        return case

    def boxes(self, address: str, row: int) -> Mapping[str, tuple[Corners, ...]]:
        """Finding -> its boxes on a case, which are kept longer than the film."""
        return _kept(self._boxes, self._lock, (address, row), _MOST_BOXES, lambda: self.case(address, row).boxes)

    def _open(self, address: str) -> CaseSet:
        if address in self._files:
            return read_case_set(self._files[address], f"{address}.zip")
        if drawn := _PHANTOMS.fullmatch(address):
            count, seed = int(drawn[1]), int(drawn[2])
            if not 1 <= count <= MOST_PHANTOMS:
                raise InvalidDataset(f"a round has 1 to {MOST_PHANTOMS} phantoms, and this link asks for {count}")
            return phantom_set(count, seed)
        if address == PUBLIC:
            return _public_set()
        if (place := _hub_place(address)) is None:
            raise InvalidDataset(f"there is no set of cases {address[:80]!r} here; choose one from the list")
        if not self.open_hub and address not in self._on_hub:
            raise InvalidDataset("this page opens no sets from the Hugging Face Hub; choose one from the list")
        dataset, file = place
        return read_case_set(fetch_dataset_file(dataset, file, MAX_HUB_BYTES), file)


def open_case_sets(sources: Sequence[str], open_hub: bool = False) -> CaseSets:
    """The sets in ``sources``: paths of zip files, and addresses on the Hub. Raises InvalidDataset for another."""
    files: dict[str, Path] = {}
    on_hub = []
    for source in sources:
        path = Path(source)
        if not path.is_file() and _hub_place(source) is not None and not path.parent.is_dir():
            on_hub.append(source)
            continue
        if path.stem in (*files, PUBLIC) or _PHANTOMS.fullmatch(path.stem):
            raise InvalidDataset(f"two sets of cases are called {path.stem!r}; rename one, as links go by it")
        read_case_set(path)
        files[path.stem] = path
    return CaseSets(files, on_hub, open_hub)


def sources_from_environment() -> list[str]:
    """The sets that ``CXR_CASES`` names."""
    return [source for source in os.environ.get(CASES, "").split(os.pathsep) if source]


def _hub_place(address: str) -> tuple[Reference, str] | None:
    """Dataset and file of an address on the Hub; None for another address."""
    match = _ON_HUB.fullmatch(address)
    dataset = parse_reference(match[1]) if match else None
    return (dataset, match[2]) if match and dataset else None


def _public_films() -> tuple[ExampleFilm, ...]:
    try:
        return labelled_films()
    except CxrError:
        return ()


def _public_set() -> CaseSet:
    """The public films whose findings are known, in an order that tells nothing; each is fetched when it is read."""
    films = labelled_films()
    if not films:
        raise InvalidDataset("there are no public films with known findings here")
    order = np.random.default_rng(len(films)).permutation(len(films))
    films = tuple(films[k] for k in order)
    labels = _labels_for({finding for film in films for finding in film.findings})
    credits = sorted({f"{film.credit}, {film.licence}" for film in films})
    return CaseSet(
        title="Public films",
        labels=labels,
        images=tuple(film.id for film in films),
        patient_ids=tuple(film.id for film in films),
        targets=np.array([[name in film.findings for name in labels] for film in films], np.float32),
        open=lambda row: Case(read_radiograph(fetch_example_film(films[row].id), name=films[row].id)),
        note=f"From the Hugging Face Hub: {'; '.join(credits)}.",
    )


def _labels_for(names: set[str]) -> LabelSet:
    """The smallest known label set with these findings; else one of their own, several of which may be present."""
    fitting = [labels for labels in LABEL_SETS.values() if names <= set(labels) and labels.abnormal]
    if fitting:
        return min(fitting, key=len)
    return LabelSet("own", Kind.MULTILABEL, tuple(known_finding(name) for name in sorted(names)))


def _kept(
    cache: OrderedDict[Hashable, _T], lock: threading.Lock, key: Hashable, most: int, make: Callable[[], _T]
) -> _T:
    """The value of a key, made once and kept while it is among the ``most`` last used."""
    with lock:
        if key in cache:
            cache.move_to_end(key)
            return cache[key]
    value = make()
    with lock:
        cache[key] = value
        while len(cache) > most:
            cache.popitem(last=False)
    return value
