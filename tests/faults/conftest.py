"""The fixtures of hosted runs, for tests of their faults in this process."""

from tests.hosting import hosted, world  # noqa: F401  fixtures
from tests.runs.conftest import dataset, launch  # noqa: F401  fixtures
