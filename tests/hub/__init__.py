"""A small localhost hub: the Hugging Face Hub's protocol, as its own client speaks it, for tests without a network."""

from tests.hub.server import TOKEN, USER, Hub

__all__ = ["TOKEN", "USER", "Hub"]
