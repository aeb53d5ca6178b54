"""Only what pyproject.toml cannot say: ``assets/`` is installed as the data of ``cxrcore.assets``."""

from setuptools import find_namespace_packages, setup

DOORS = ("page", "dashboard", "train")
PACKAGES = [f"{name}{below}" for name in ("cxrcore", *DOORS) for below in ("", ".*")]

setup(
    packages=["cxrcore.assets", *find_namespace_packages(include=PACKAGES, exclude=["*__pycache__*"])],
    package_dir={"cxrcore.assets": "assets"},
    py_modules=["app"],
)
