"""What pyproject.toml cannot say: app/client is installed a second time as `tunebook`, for `from tunebook import Client`."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["app*", "workers*"]), "tunebook"],
    package_dir={"tunebook": "app/client"},
)
