"""Age and sex as sources write them, in one form: ``age_years`` float, ``sex`` M, F or empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

OLDEST = 120.0  # years; older is a slip of the source (NIH has 148, 155 and 414)
_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def ages_in_years(column: pd.Series) -> pd.Series:
    """Numbers, or text such as ``058Y`` and ``011M``, as float years; NaN where empty, unreadable or impossible."""
    import pandas as pd

    years = pd.to_numeric(column, errors="coerce").astype(float)
    if years.isna().any():
        parts = column.astype(str).str.strip().str.upper().str.extract(r"^(\d+)([YMWD])$")
        years = years.fillna(pd.to_numeric(parts[0]).astype(float) * parts[1].map(_YEARS).astype(float))
    return years.where((years >= 0) & (years <= OLDEST), np.nan)


def sexes(column: pd.Series) -> pd.Series:
    """M, F, or empty for anything else."""
    first = column.fillna("").astype(str).str.strip().str.upper().str[:1]
    return first.where(first.isin(["M", "F"]), "")
