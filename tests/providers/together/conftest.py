"""The stage of Together's tests, its official SDK, and a finished training."""

import pytest
import together

from tests.providers.scenario import KEY, on_stage
from tests.providers.together.chosen import chosen


@pytest.fixture
def stage(tmp_path):
    with on_stage("together", tmp_path) as found:
        yield found


@pytest.fixture
def sdk(stage):
    with together.Together(
        api_key=KEY,
        base_url=stage.world.url("together"),
        project_id="proj_emulated",
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture
def trained(stage):
    return stage.finish(stage.submit(chosen(stage)).id)
