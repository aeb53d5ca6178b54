from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from cxrcore.training.augmentation import Augmentation

STRENGTHS = {
    "flip": 0.5,
    "rotation": 10.0,
    "zoom": 0.2,
    "aspect": 0.2,
    "shift": 0.08,
    "shear": 5.0,
    "tone_swap": 0.7,
    "gamma": 0.5,
    "curve": 0.4,
    "contrast": 0.3,
    "brightness": 0.1,
    "shading": 0.2,
    "blur": 0.5,
    "blur_sigma": 0.01,
    "sharpen": 0.5,
    "noise": 0.03,
    "frame_swap": 0.5,
    "collimation": 0.5,
    "erase": 0.5,
}


@pytest.fixture
def films() -> Tensor:
    """Eight smooth patterns in [0.1, 0.9], 40 rows by 48 columns, no two with one histogram."""
    across = torch.linspace(-1, 1, 48)[None, :]
    down = torch.linspace(-1, 1, 40)[:, None]
    bumps = [torch.exp(-3 * ((across - 0.2) ** 2 + down**2)) ** (0.5 + 0.25 * i) for i in range(8)]
    return 0.1 + 0.8 * torch.stack(bumps)[:, None]


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_strengths_above_name_every_change() -> None:
    assert set(STRENGTHS) == {field.name for field in fields(Augmentation)}


@pytest.mark.parametrize("names", [[name] for name in STRENGTHS if name != "blur_sigma"] + [list(STRENGTHS)])
def test_each_change_keeps_shape_and_range_and_repeats_under_a_seed(films: Tensor, names: list[str]) -> None:
    augmentation = Augmentation(**{name: STRENGTHS[name] for name in names})
    before = films.clone()
    changed = augmentation(films, seeded())
    assert changed.shape == films.shape
    assert changed.dtype == torch.float32
    assert torch.isfinite(changed).all()
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.equal(changed, films)
    assert torch.equal(films, before)
    assert torch.equal(changed, augmentation(films, seeded()))
    assert not torch.equal(changed, augmentation(films, seeded(4)))


def test_no_strength_is_the_identity_in_new_memory(films: Tensor) -> None:
    changed = Augmentation()(films, seeded())
    assert torch.equal(changed, films)
    assert changed.data_ptr() != films.data_ptr()


def test_a_certain_flip_is_a_mirror(films: Tensor) -> None:
    torch.testing.assert_close(Augmentation(flip=1)(films, seeded()), films.flip(-1), atol=1e-5, rtol=0)


def test_tone_changes_keep_the_order_of_grey_values(films: Tensor) -> None:
    changed = Augmentation(tone_swap=1, gamma=0.5, curve=0.5)(films, seeded()).flatten(1)
    order = films.flatten(1).argsort(1)
    assert (changed.gather(1, order).diff(dim=1) >= -1e-6).all()


def test_tone_swap_takes_greys_from_another_film_of_the_batch() -> None:
    dark, bright = torch.rand(2, 1, 32, 32, generator=seeded()) * torch.tensor([0.2, 1.0]).view(2, 1, 1, 1)
    films = torch.stack([dark, bright])
    means = torch.stack([Augmentation(tone_swap=1)(films, seeded(i)).mean((1, 2, 3)) for i in range(20)])
    assert means[:, 0].max() > 2 * films[0].mean()
    assert means[:, 1].min() < 0.7 * films[1].mean()
    assert means.min() > 0.08
    assert means.max() < 0.55


def test_blur_removes_detail_and_sharpening_adds_it() -> None:
    films = 0.3 + 0.4 * torch.rand(4, 1, 64, 64, generator=seeded())
    assert (Augmentation(blur=1, blur_sigma=0.02)(films, seeded()).std((1, 2, 3)) < films.std((1, 2, 3))).all()
    assert (Augmentation(sharpen=1, blur_sigma=0.02)(films, seeded()).std((1, 2, 3)) > films.std((1, 2, 3))).all()


def test_collimation_darkens_borders_only(films: Tensor) -> None:
    changed = Augmentation(collimation=1)(films, seeded())
    assert torch.equal(changed[:, :, 6:-6, 6:-6], films[:, :, 6:-6, 6:-6])
    assert (changed[:, :, 0] <= 0.1).all()


def test_a_film_alone_in_its_batch_is_fine() -> None:
    changed = Augmentation(**STRENGTHS)(torch.full((1, 1, 16, 16), 0.5), seeded())
    assert changed.shape == (1, 1, 16, 16)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_impossible_strengths_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="gamma"):
        Augmentation(gamma=value)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 3, 16, 16)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\)"):
        Augmentation(gamma=0.5)(torch.rand(shape), seeded())


def test_a_swapped_frame_is_that_of_another_film_and_the_middle_stays() -> None:
    films = torch.arange(1, 9).float().view(-1, 1, 1, 1).expand(-1, 1, 40, 48) / 10
    changed = Augmentation(frame_swap=1.0)(films, seeded())
    assert torch.equal(changed[:, :, 6:34, 8:40], films[:, :, 6:34, 8:40])
    assert not torch.equal(changed, films)
    assert set(changed.unique().tolist()) <= set(films.unique().tolist())
