"""The fixtures of hosted and local runs, for tests of what a restore does to them."""

from tests.hosting import hosted, world  # noqa: F401  fixtures
from tests.runs.conftest import dataset, launch  # noqa: F401  fixtures
