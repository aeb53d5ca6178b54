"""One path from film to input, the same wherever it is walked; oracles: Pillow, scipy, arithmetic."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import rankdata

from cxrcore.errors import InvalidBundle
from cxrcore.films.preprocessing import Preprocessing, pack, unpack


@pytest.fixture
def film() -> np.ndarray:
    rng = np.random.default_rng(3)
    smooth = np.asarray(
        Image.fromarray(rng.random((9, 7), dtype=np.float32)).resize((300, 400), Image.Resampling.BICUBIC)
    )
    return smooth.clip(0, 1)


def test_squash_is_pillows_antialiased_resize_to_16_bits(film):
    expected = np.asarray(Image.fromarray(film).resize((64, 96), Image.Resampling.BILINEAR))
    assert np.abs(Preprocessing(96, 64).prepare(film) - expected).max() <= 0.5 / 65535 + 1e-7


def test_prepared_films_survive_the_cache_bit_for_bit(film):
    prepared = Preprocessing(96, 64).prepare(film)
    assert np.array_equal(unpack(pack(prepared)), prepared)


def test_letterbox_keeps_aspect_and_pads_black(film):
    prep = Preprocessing(100, 100, geometry="letterbox")
    assert prep.film_area(film.shape) == (0, 12, 100, 75) or prep.film_area(film.shape) == (0, 13, 100, 75)
    prepared = prep.prepare(film + 0.0)
    _, left, _, width = prep.film_area(film.shape)
    assert prepared[:, :left].max() == 0
    assert prepared[:, left + width :].max() == 0
    assert prepared[:, left : left + width].std() > 0


@pytest.mark.parametrize("geometry", ["squash", "letterbox"])
def test_a_map_lands_where_the_film_is(geometry):
    film = np.zeros((400, 300), np.float32)
    film[100:200, 50:100] = 1
    prep = Preprocessing(96, 96, geometry=geometry)
    back = prep.to_film_grid(prep.prepare(film), film.shape)
    assert back.shape == film.shape
    assert np.abs(back - film).mean() < 0.02
    rows, columns = np.nonzero(back > 0.5)
    assert (rows.mean(), columns.mean()) == (pytest.approx(149.5, abs=2), pytest.approx(74.5, abs=2))


@pytest.mark.parametrize("intensity", ["none", "stretch", "standardise", "equalise"])
def test_each_film_is_normalised_by_itself(film, intensity):
    prep = Preprocessing(48, 48, channels=3, intensity=intensity)
    films = torch.from_numpy(np.stack([prep.prepare(film), prep.prepare(film * 0.5), prep.prepare(1 - film)]))[:, None]
    together = prep.normalise(films)
    assert together.shape == (3, 3, 48, 48)
    for n in range(3):
        assert torch.equal(together[n : n + 1], prep.normalise(films[n : n + 1]))


def test_intensities_remove_what_they_promise(film):
    films = torch.from_numpy(Preprocessing(48, 48).prepare(film))[None, None]
    darker = films * 0.6 + 0.1
    for intensity in ("stretch", "standardise", "equalise"):
        prep = Preprocessing(48, 48, intensity=intensity)
        assert torch.allclose(prep.normalise(films), prep.normalise(darker), atol=1e-2)
    equalise = Preprocessing(48, 48, intensity="equalise", mean=0.0, std=1.0)
    expected = (rankdata(films.numpy().ravel()) - 0.5) / films.numel()
    assert np.allclose(equalise.normalise(films).numpy().ravel(), expected, atol=3e-3)
    assert torch.allclose(equalise.normalise(films), equalise.normalise(films**2), atol=1e-2)


def test_blank_films_stay_finite():
    for intensity in ("none", "stretch", "standardise", "equalise"):
        assert torch.isfinite(Preprocessing(8, 8, intensity=intensity).normalise(torch.zeros(1, 1, 8, 8))).all()


def test_unknown_settings_are_refused_not_ignored():
    assert Preprocessing.from_dict(Preprocessing(32, 48).to_dict()) == Preprocessing(32, 48)
    with pytest.raises(InvalidBundle, match="crop"):
        Preprocessing.from_dict({"height": 32, "crop": 3})
    with pytest.raises(InvalidBundle, match="stretch"):
        Preprocessing(intensity="clahe")  # type: ignore[arg-type]
    with pytest.raises(InvalidBundle, match="positive"):
        Preprocessing(height=0)
