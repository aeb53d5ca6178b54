"""Download film collections from public copies into the layout of their readers: ``cxr data get NAME --out DIR``.

huggingface_hub downloads, with a progress bar. Resuming and checking are done here, because the client accepts any file
of the right size. Every archive is compared with the Hub's checksum, unpacked film by film (atomically; films already
there are skipped) and deleted before the next one is downloaded. ``download.json`` in the folder records the origin of
every file, and a repeated call continues where the last one stopped.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from csv import DictReader
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from cxrcore.datasets.public_copies import COPIES, PublicCopy
from cxrcore.errors import InvalidDataset
from cxrcore.hub.client import checksum, endpoint, list_files
from cxrcore.storage import FULL, free_bytes, write_bytes
from cxrcore.text import size_text

T = TypeVar("T")
Say = Callable[[str], object]
SEED = 0  # which patients a subset keeps
PHANTOMS = 2000  # films drawn when no number is asked for
HUB_PATIENCE_S = 10.0  # for the Hub's first answer; a download under way is more patient
MAX_EXPANSION = 20  # films hardly compress, so an archive that claims to grow more than this is a bomb
LOG, WORK = "download.json", ".download"

NAMES = (*COPIES, "tb", "phantom")
TB = """tb: no public copy can be downloaded without a login, so this one is by hand.
1. Log in to Kaggle and download https://www.kaggle.com/datasets/jtiptj/chest-xray-pneumoniacovid19tuberculosis
2. Unpack it so that {out}/train, {out}/val and {out}/test hold one folder per class.
3. cxr data check {out}
4. cxr fit tb3-efficientnet-b0 --data {out} --out runs/tb3"""


def get_dataset(name: str, out: Path, subset: int = 0, say: Say = print, keep_archives: bool = False) -> None:
    """Fetch (or draw, or explain how to fetch) a collection into ``out``; ``subset`` films at most, whole patients.

    The same subset of the same copy is the same films. Raises InvalidDataset, in one sentence, for an unknown name,
    an unwritable or foreign folder, too little room, a Hub that does not answer, and a download that is not what the
    Hub says it is.
    """
    if name not in NAMES:
        near = get_close_matches(name.lower(), NAMES, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(NAMES)}"
        raise InvalidDataset(f"no dataset {name!r} to get; {meant}")
    if subset < 0:
        raise InvalidDataset(f"a subset of {subset} films cannot be kept; give a number above 0, or leave it out")
    if name == "tb":
        say(TB.format(out=out))
        return
    with _plainly(name, out):
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()  # fails now rather than after an hour
        if name == "phantom":
            from tqdm import tqdm

            from cxrcore.datasets.phantoms import write_phantoms

            count = subset or PHANTOMS
            say(f"phantom: drawing {count:,} synthetic films, no download")
            bar = partial(tqdm, total=count, desc=name, unit="film", disable=None)  # None: on a terminal only
            write_phantoms(out, count=count, seed=SEED, progress=bar)
        elif not _download(name, out, subset, say, keep_archives):
            return
    say(f"next: cxr data check {out}")


@dataclass(frozen=True)
class _File:
    path: str
    size: int
    checksum: str  # sha256 of a large file, git's sha1 of a small one


@dataclass
class _Log:
    """The content of the folder: the archives unpacked, with the place and size of each one's films."""

    repo: str
    revision: str = ""
    subset: int = 0
    complete: bool = False
    archives: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, name: str, out: Path, subset: int) -> _Log:
        """The folder's log, or an empty one. Raises InvalidDataset when the folder holds something else."""
        repo = COPIES[name].repo
        try:
            log = cls(**json.loads((out / LOG).read_text()))
        except FileNotFoundError:
            return cls(repo, subset=subset)
        except (ValueError, TypeError):
            raise InvalidDataset(f"{LOG} in {out.name!r} cannot be read; delete it and run again") from None
        if log.repo != repo:
            raise InvalidDataset(f"{out.name!r} holds another collection, from {log.repo}; give another --out")
        if log.subset == subset:
            return log
        if subset:  # two subsets in one folder would be neither
            content = f"{log.subset:,} of the {name} films" if log.subset else f"the whole {name} collection"
            raise InvalidDataset(f"{out.name!r} was made for {content}; give another --out for a subset of {subset:,}")
        return cls(repo)  # a subset grows into the whole: its films are skipped when met again

    def has(self, out: Path, file: _File) -> bool:
        entry = self.archives.get(file.path)
        return (
            entry is not None
            and entry["checksum"] == file.checksum
            and all(_whole(out / place, size) for place, size in entry["films"].items())
        )

    def places(self) -> dict[str, int]:
        return {place: size for entry in self.archives.values() for place, size in entry["films"].items()}

    def save(self, out: Path) -> None:
        write_bytes(out / LOG, json.dumps(vars(self)).encode())


def _download(name: str, out: Path, subset: int, say: Say, keep_archives: bool) -> bool:
    """Download what is missing; False when nothing was."""
    copy, log, work = COPIES[name], _Log.open(name, out, subset), out / WORK
    if log.complete and all(_whole(out / place, size) for place, size in log.places().items()):
        say(f"{name}: all {len(log.places()):,} films are in {out} already")
        return False
    log.revision, tables, archives = _listing(name)
    todo = [file for file in archives if subset or not log.has(out, file)]
    say(
        f"{name}: https://huggingface.co/datasets/{copy.repo} at {log.revision[:7]}: {len(archives)} archives, "
        f"{size_text(sum(file.size for file in archives))}"
        + (f", {len(archives) - len(todo)} of them unpacked here already" if len(todo) < len(archives) else "")
    )
    for file in tables:
        target = out / PurePosixPath(file.path).name
        if not target.is_file() or not _is(target, file):
            os.replace(_fetch(copy, log.revision, file, work), target)
    wanted: dict[_File, set[str] | None] = {}
    if subset:
        wanted |= _choose_subset(name, out, archives, log.revision, subset, say)
        log.archives = {}
    else:
        room = sum(file.size for file in todo) * (2 if keep_archives else 1)
        _need_room(name, out, room + max((file.size for file in todo), default=0))
        wanted |= dict.fromkeys(todo)
    log.complete = False
    log.save(out)
    for file, places in wanted.items():
        archive = _fetch(copy, log.revision, file, work)
        kept = {place: size for place, size in _films(copy, archive).items() if places is None or place in places}
        _need_room(name, out, sum(size for place, size in kept.items() if not _whole(out / place, size)))
        _unpack(copy, archive, kept, out)
        films = {place: (out / place).stat().st_size for place in kept}
        log.archives[file.path] = {"checksum": file.checksum, "films": films}
        log.save(out)
        if not keep_archives and not subset:  # a subset's archives go together, at the end
            archive.unlink()
        say(f"{archive.name}: {len(films):,} films")
    log.complete = True
    log.save(out)
    if not keep_archives:
        shutil.rmtree(work, ignore_errors=True)
    patients = {copy.patient(place) for place in log.places()}
    say(f"{name}: {len(log.places()):,} films of {len(patients):,} patients in {out}")
    return True


def _choose_subset(
    name: str, out: Path, archives: list[_File], revision: str, count: int, say: Say
) -> dict[_File, set[str]]:
    """The archives a subset comes from (fetched, not yet unpacked) and the films to keep from each.

    Where a table says how many films a patient has, archives go in an order drawn by hash and only enough of them are
    fetched; a patient with a film elsewhere is left out, whole patients being the point. NIH's archives go by patient
    number, so a subset is a sample of a stretch of patients rather than of all.
    """
    copy, work = COPIES[name], out / WORK
    totals: Counter[str] = Counter()
    if copy.labels:
        with open(out / copy.labels, newline="", encoding="utf-8-sig") as table:
            totals.update(copy.patient(row["Image Index"]) for row in DictReader(table))
        archives = _shuffled(archives, key=lambda file: file.path)
    share = count / max(totals.total(), 1) if totals else 1.0
    every, enough, planned = sum(file.size for file in archives), 0, []
    for file in archives:
        if enough < share * every:
            planned.append(file)
            enough += file.size
    say(f"{name}: {count:,} films need about {len(planned)} of these archives, {size_text(enough)}")
    _need_room(name, out, enough + int(min(share, 1) * every))
    origin: dict[str, _File] = {}
    for file in archives:
        origin |= dict.fromkeys(_films(copy, _fetch(copy, revision, file, work)), file)
        patients: dict[str, list[str]] = defaultdict(list)
        for place in sorted(origin):
            patients[copy.patient(place)].append(place)
        whole = {patient: films for patient, films in patients.items() if len(films) >= totals[patient]}
        if totals and sum(map(len, whole.values())) >= count:
            break
    if not (keep := _keep(whole, count)):
        raise InvalidDataset(f"no patient of {name} has so few films; ask for more than {count}")
    kept: dict[_File, set[str]] = defaultdict(set)
    for place in keep:
        kept[origin[place]].add(place)
    complete = len(keep) == sum(map(len, whole.values()))
    source = "all there are" if complete else f"{len(set(origin.values()))} of the archives, seed {SEED}"
    say(f"{name}: keeping {len(keep):,} films of whole patients ({source})")
    return kept


def _keep(patients: dict[str, list[str]], count: int) -> list[str]:
    """At most ``count`` places: patients in an order drawn by hash, each while it fits, classes in proportion.

    A class is a film's folder; where folders are not classes (NIH) there is one.
    """
    classes: dict[str, list[list[str]]] = defaultdict(list)
    for patient in _shuffled(sorted(patients), key=str):
        classes[PurePosixPath(patients[patient][0]).parent.name].append(patients[patient])
    everyone, kept, quota = sum(map(len, patients.values())), [], 0.0
    for members in classes.values():
        quota += count * sum(map(len, members)) / everyone
        for films in members:
            if len(films) <= round(quota):
                quota -= len(films)
                kept += films
    return kept


def _listing(name: str) -> tuple[str, list[_File], list[_File]]:
    """The copy's present revision, its tables and its archives, with the sizes and checksums the Hub gives."""
    from huggingface_hub import HfApi

    copy = COPIES[name]
    api = HfApi(endpoint=endpoint())
    info = api.dataset_info(copy.repo, files_metadata=True, timeout=HUB_PATIENCE_S)
    files = {
        path: _File(path, file.size or 0, file.lfs.sha256 if file.lfs else file.blob_id or "")
        for path, file in list_files(api, info, "dataset").items()
    }
    archives = [files[path] for path in sorted(files) if copy.archives.fullmatch(path)]
    missing = [path for path in copy.tables if path not in files] + ([] if archives else [copy.expected])
    if missing or not info.sha:
        raise InvalidDataset(f"the public copy {copy.repo} has changed: no {', '.join(missing)}; {copy.manual}")
    return info.sha, [files[path] for path in copy.tables], archives


def _fetch(copy: PublicCopy, revision: str, file: _File, work: Path) -> Path:
    """The file, downloaded, resumed or present, with the Hub's checksum.

    hf_hub_download would start from zero, since every attempt gets a partial file of its own. Ours is named after its
    content, so the next process resumes what a killed one left.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    path = work / PurePosixPath(file.path).name
    if path.is_file() and _is(path, file):
        return path
    work.mkdir(exist_ok=True)
    part = work / f"{path.name}.{file.checksum[:16]}.part"
    url = hf_hub_url(copy.repo, file.path, repo_type="dataset", revision=revision, endpoint=endpoint())
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}  # else sizes and ranges are of compressed bytes
    with open(part, "ab") as opened:
        http_get(
            url,
            opened,
            resume_size=opened.tell(),
            headers=headers,
            expected_size=file.size,
            displayed_filename=path.name,
        )
    if not _is(part, file):
        part.unlink()
        raise InvalidDataset(f"{path.name} arrived damaged (not the Hub's checksum) and was deleted; run it again")
    os.replace(part, path)
    return path


def _is(path: Path, file: _File) -> bool:
    """Whether the content has the Hub's checksum of that file."""
    return checksum(path, large=len(file.checksum) == 64) == file.checksum


def _films(copy: PublicCopy, archive: Path) -> dict[str, int]:
    """The archive's own listing of its films, refused when it is empty or claims to grow absurdly."""
    films, volume = copy.films(archive)
    if not films:
        raise InvalidDataset(f"{archive.name} holds no films; the public copy has changed")
    if volume > MAX_EXPANSION * archive.stat().st_size + 1_000_000:
        raise InvalidDataset(f"{archive.name} claims to unpack to {size_text(volume)}; it was not unpacked")
    return films


def _unpack(copy: PublicCopy, archive: Path, films: dict[str, int], out: Path) -> None:
    missing = {place for place, size in films.items() if not _whole(out / place, size)}
    for folder in {(out / place).parent for place in missing}:
        folder.mkdir(parents=True, exist_ok=True)
    for place, content in copy.unpack(archive, missing):
        write_bytes(out / place, content, sync=False)


def _whole(path: Path, size: int) -> bool:
    """Whether the film is there with its size (0: unlisted; films are written atomically, so existence is enough)."""
    return path.is_file() and size in (0, path.stat().st_size)


def _need_room(name: str, out: Path, size: int) -> None:
    free = free_bytes(out)
    if size > free:
        raise InvalidDataset(
            f"{name} needs about {size_text(size)} more in {out.name!r} and {size_text(free)} are free; "
            "make room, or take fewer films with --subset"
        )


def _shuffled(items: list[T], key: Callable[[T], str]) -> list[T]:
    """In an order that depends on the seed and the names alone, the same on every machine and version."""
    return sorted(items, key=lambda item: hashlib.sha256(f"{SEED}:{key(item)}".encode()).digest())


@contextmanager
def _plainly(name: str, out: Path) -> Iterator[None]:
    """Turn the expected errors of a download into one sentence with the next step; other exceptions pass through."""
    import httpx2
    import pyarrow as pa
    from huggingface_hub import errors

    again = "what is here already is kept: run the same command again"
    copy = COPIES.get(name)
    try:
        yield
    except errors.GatedRepoError as error:
        raise InvalidDataset(f"{copy and copy.repo} asks for a login now: set HF_TOKEN and run it again") from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as error:
        elsewhere = f"no public copy {copy.repo}; {copy.manual}" if copy else "no such copy"
        raise InvalidDataset(f"the Hugging Face Hub has {elsewhere}") from error
    except errors.HfHubHTTPError as error:
        raise InvalidDataset(f"the Hugging Face Hub answered {error.response.status_code}; {again} later") from error
    except (
        httpx2.HTTPError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.XetDownloadError,
    ) as error:
        raise InvalidDataset(f"the Hugging Face Hub could not be reached, or the line broke; {again}") from error
    except (zipfile.BadZipFile, zlib.error, pa.ArrowInvalid) as error:
        raise InvalidDataset(f"an archive of the public copy of {name} is damaged; {copy and copy.manual}") from error
    except OSError as error:
        if error.errno in FULL:
            raise InvalidDataset(f"the disk is full; make room; {again}") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise InvalidDataset(
                f"cannot write into {out.name!r}; give a folder you may write to with --out"
            ) from error
        if "Consistency check failed" in str(error):
            raise InvalidDataset(f"the download broke off; {again}") from error
        raise
