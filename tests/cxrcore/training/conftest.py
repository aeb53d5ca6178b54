import pytest


@pytest.fixture
def no_hub(monkeypatch, tmp_path) -> None:
    """A Hugging Face Hub that does not answer, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
