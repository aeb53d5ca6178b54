"""Films leave memory when their visitor deletes them, when they are old, and when others need the room."""

from __future__ import annotations

import time

import numpy as np
import pytest

import cxrcore
from cxrcore.errors import CxrError
from cxrcore.serving.recent_films import RecentFilms
from tests.films import chest, encoded


@pytest.fixture
def film() -> cxrcore.Radiograph:
    return cxrcore.read_radiograph(encoded(chest(), "PNG"))


def test_the_oldest_film_makes_room(film: cxrcore.Radiograph) -> None:
    films = RecentFilms(seconds=3600, max_pixels=2 * film.pixels.size)
    tokens = [films.add(film) for _ in range(3)]
    with pytest.raises(CxrError, match="deleted"):
        films[tokens[0]]
    assert np.shares_memory(films[tokens[2]].pixels, film.pixels)


def test_a_deleted_film_is_gone_and_an_unknown_token_is_ignored(film: cxrcore.Radiograph) -> None:
    films = RecentFilms(seconds=3600)
    token = films.add(film)
    films.delete(token)
    films.delete("unknown")
    assert token not in films
    with pytest.raises(CxrError):
        films[token]


def test_a_visitor_who_leaves_takes_their_films_and_no_others(film: cxrcore.Radiograph) -> None:
    films = RecentFilms(seconds=3600)
    mine, theirs = films.add(film, visitor="me"), films.add(film, visitor="another")
    films.forget("me")
    assert mine not in films
    assert theirs in films
    assert films.add(film, visitor="me") not in films  # what was still being read when they left
    assert len(films) == 1
    films.forget("")  # nobody's name
    assert films.add(film) in films


def test_an_old_film_is_deleted(film: cxrcore.Radiograph) -> None:
    films = RecentFilms(seconds=0.0)
    token = films.add(film)
    for _ in range(100):
        if token not in films:
            break
        time.sleep(0.02)
    assert not films._films
    with pytest.raises(CxrError):
        films[token]
