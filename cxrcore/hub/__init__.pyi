from .cache import cached_references, cached_snapshot
from .client import (
    VISITOR_BYTES,
    Say,
    Token,
    cache_folder,
    checksum,
    endpoint,
    list_files,
    matches_listing,
    quiet_client,
    translate_hub_errors,
    wait_at_most,
)
from .pull import newer_revision, open_reference, pull_bundle

__all__ = [
    "VISITOR_BYTES",
    "Say",
    "Token",
    "cache_folder",
    "cached_references",
    "cached_snapshot",
    "checksum",
    "endpoint",
    "list_files",
    "matches_listing",
    "newer_revision",
    "open_reference",
    "pull_bundle",
    "quiet_client",
    "translate_hub_errors",
    "wait_at_most",
]
