"""Recipes: typed, checked together, saved and read back."""

import pytest
import yaml

from cxrcore.errors import InvalidRecipe
from cxrcore.training.config import Recipe, read_recipe
from train.recipes import RECIPES, open_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_shipped_recipe_opens_and_survives_its_own_yaml(name, tmp_path):
    recipe = open_recipe(name)
    assert recipe.name == name
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.to_dict()))
    assert read_recipe(tmp_path / "recipe.yaml") == recipe


def test_overrides_are_typed():
    recipe = open_recipe(
        "pneumonia-resnet18", ["optimizer.lr=3e-4", "optimizer.epochs=2", "seed=7", "loss.class_weights=true"]
    )
    assert (recipe.optimizer.lr, recipe.optimizer.epochs, recipe.seed, recipe.loss.class_weights) == (3e-4, 2, 7, True)


def test_every_problem_is_reported_at_once_with_the_key_that_was_meant():
    with pytest.raises(InvalidRecipe) as error:
        open_recipe(
            "pneumonia-resnet18", ["optimizer.lrr=1", "optimizer.epochs=many", "speed=9", "augmentation.flip=-1", "x"]
        )
    for part in ("did you mean 'optimizer.lr'", "optimizer.epochs expects int", "'speed'", "flip", "section.key=value"):
        assert part in str(error.value)


def test_impossible_values_are_reported_together():
    with pytest.raises(InvalidRecipe) as error:
        open_recipe("pneumonia-resnet18", ["optimizer.lr=-1", "data.labels=nih99", "data.val_fraction=0.95"])
    for part in ("optimizer.lr must be positive", "nih99", "val_fraction"):
        assert part in str(error.value)


def test_wrong_names_and_files(tmp_path):
    with pytest.raises(InvalidRecipe, match="did you mean 'pneumonia-resnet18'"):
        open_recipe("pneumonia-resnet8")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(InvalidRecipe, match=r"broken\.yaml is not a readable YAML"):
        open_recipe(str(tmp_path / "broken.yaml"))
    with pytest.raises(InvalidRecipe, match="needs 'name'"):
        Recipe.from_dict({"seed": 1})


def test_the_split_has_the_recipes_seed_or_its_own():
    assert open_recipe("pneumonia-resnet18", ["seed=3"]).split_seed == 3
    assert open_recipe("pneumonia-resnet18", ["seed=3", "data.split_seed=0"]).split_seed == 0


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["data.split_seed=-2"], "data.split_seed -1 or more"),
        (["model.operating_point=best"], r"model\.operating_point"),
        (["model.operating_point=specificity=2"], r"model\.operating_point"),
        (["optimizer.small_epochs=-1"], "small_epochs must be 0 or more"),
        (["optimizer.small_epochs=2", "optimizer.small_side=160", "preprocessing.height=160"], "small_side"),
        (["optimizer.small_epochs=2", "optimizer.small_side=16"], "small_side at least 32"),
    ],
)
def test_impossible_splits_thresholds_and_sizes_are_refused(settings, problem):
    with pytest.raises(InvalidRecipe, match=problem):
        open_recipe("pneumonia-resnet18", settings)
