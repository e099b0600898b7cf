"""The stage of Fireworks' tests, its official SDK, and a finished training."""

import pytest
from fireworks import Fireworks

from tests.providers.scenario import KEY, on_stage


@pytest.fixture
def stage(tmp_path):
    with on_stage("fireworks", tmp_path, {"account_id": "lab"}) as found:
        yield found


@pytest.fixture
def sdk(stage):
    with Fireworks(
        api_key=KEY,
        account_id="lab",
        base_url=stage.world.url("fireworks"),
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture
def trained(stage):
    return stage.finish(stage.submit(stage.job()).id)
