"""Near-duplicates: one film resized, in another tone or recompressed is found; other films are not."""

import io

import numpy as np
from PIL import Image

from cxrcore.datasets.duplicates import BITS_APART, difference_hash, hash_files, near_pairs


def texture(seed: int, side: int = 128) -> np.ndarray:
    """Smooth random grey values in [0, 1], float32 (side, side)."""
    coarse = np.random.default_rng(seed).random((12, 12), dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)


def test_the_distance_is_the_number_of_bits_that_differ():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, (520, 4)).astype(np.uint64)
    hashes[515] = hashes[3] ^ np.uint64(0b1011)
    hashes[518] = hashes[10]
    hashes[0] = hashes[1] = 0  # films without structure resemble nothing
    bits = np.unpackbits(hashes.view(np.uint8), axis=1).astype(float)
    apart = bits @ (1 - bits).T + (1 - bits) @ bits.T
    for most in (0, 3, 100):
        expected = {(a, b) for a, b in np.argwhere(np.triu(apart <= most, k=1)).tolist() if a > 1}
        assert set(map(tuple, near_pairs(hashes, most).tolist())) == expected


def test_a_film_that_was_resized_toned_and_saved_as_jpeg_is_found(tmp_path):
    for n in range(6):
        Image.fromarray((texture(n) * 255).astype(np.uint8)).save(tmp_path / f"{n}.png")
    data = io.BytesIO()
    toned = Image.fromarray((texture(4) ** 1.3 * 200 + 20).astype(np.uint8)).resize((90, 96))
    toned.save(data, "JPEG", quality=80)
    (tmp_path / "again.jpg").write_bytes(data.getvalue())
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8nothing")
    paths = [*(tmp_path / f"{n}.png" for n in range(6)), tmp_path / "again.jpg", tmp_path / "broken.jpg"]
    assert near_pairs(hash_files(paths)).tolist() == [[4, 6]]


def test_films_without_structure_have_no_hash():
    assert not difference_hash(np.full((64, 64), 0.5)).any()
    assert 0 < BITS_APART < 20
