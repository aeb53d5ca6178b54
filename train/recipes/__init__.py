"""The recipes that ship with the project, by name: one YAML file each."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxrcore.errors import InvalidRecipe

if TYPE_CHECKING:
    from cxrcore.training.config import Recipe

RECIPES: dict[str, Path] = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}


def open_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by its name, or a YAML file. Raises InvalidRecipe, with the name that was probably meant."""
    from cxrcore.training.config import read_recipe

    path = RECIPES.get(name, Path(name))
    if name not in RECIPES and not path.is_file():
        close = difflib.get_close_matches(name, RECIPES, n=1)
        meant = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(RECIPES)}"
        raise InvalidRecipe(f"no recipe {name!r}; {meant}")
    return read_recipe(path, overrides)


def settings(recipe: Recipe) -> list[str]:
    """Every field but the recipe's name and description, as ``--set`` takes it, e.g. ``optimizer.lr=0.002``."""
    import yaml

    def written(value: object) -> str:
        return value if isinstance(value, str) and yaml.safe_load(value) == value else json.dumps(value)

    sections = {key: value for key, value in recipe.to_dict().items() if isinstance(value, dict)}
    return [
        f"seed={recipe.seed}",
        *(f"{name}.{key}={written(value)}" for name, section in sections.items() for key, value in section.items()),
    ]
