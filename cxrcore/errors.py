"""Errors that a user can correct, each with one sentence: what was found, what was expected, what to do.

The app and the command line show ``str(error)`` and nothing else. Any other exception is a bug and is not caught.
Messages never hold a server's path or a patient's data: a file is called by the name that the caller gave.
"""


class CxrError(Exception):
    """Base of every error that a user can correct; ``str(error)`` is one plain sentence, often with the next step."""


class UnreadableImage(CxrError):
    """The bytes are not a film this library reads: damaged, empty, too large, not an image, a CT slice, no pixels."""


class LabelMismatch(CxrError):
    """Findings, label columns or head sizes that should agree do not."""


class BundleNotFound(CxrError):
    """No bundle of that name or in that folder."""


class InvalidBundle(CxrError):
    """A bundle that cannot be trusted: corrupt weights, missing or misshaped tensor, unknown schema."""


class InvalidRecipe(CxrError):
    """A recipe or override with unknown, mistyped or clashing keys; the message lists all of them at once."""


class InvalidDataset(CxrError):
    """A folder or table that cannot be trained or scored on, reported before the first step."""


class InvalidPredictions(CxrError):
    """A predictions table that cannot be scored as it stands: missing columns, values outside [0, 1], no labels."""


class TrainingStopped(CxrError):
    """A run that could not go on (NaN loss, memory, disk); the last checkpoint is whole."""


class HubError(CxrError):
    """The Hugging Face Hub cannot be reached, refuses, or holds something other than it states."""
