"""The examples in the docstrings of metrics, evaluation, predictions and text give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import cxrcore.evaluation
import cxrcore.metrics
import cxrcore.predictions

PACKAGES = (cxrcore.metrics, cxrcore.evaluation, cxrcore.predictions)
MODULES = ["cxrcore.text"] + [
    found.name for package in PACKAGES for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(examples) >= 10
