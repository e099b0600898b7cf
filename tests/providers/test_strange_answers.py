"""Whatever a service answers about a job, batch or deployment: something sane comes of it, or one of our errors."""

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import errors
from app.providers import providers
from app.providers._http import Access, Api
from app.providers._shapes import Phase
from app.providers.fireworks import deployments as fireworks_deployments
from app.providers.fireworks import jobs as fireworks
from app.providers.fireworks import offers as fireworks_offers
from app.providers.fireworks import serving as fireworks_serving
from app.providers.together import chat as together_chat
from app.providers.together import jobs as together
from app.providers.together import offers as together_offers

FIELDS = (
    "id",
    "name",
    "status",
    "state",
    "events",
    "progress",
    "total_price",
    "token_count",
    "created_at",
    "suffix",
)
FIELDS += (
    "createTime",
    "jobProgress",
    "estimatedCost",
    "units",
    "nanos",
    "percent",
    "trainingConfig",
    "epochs",
)
FIELDS += (
    "training_type",
    "lora_r",
    "lr_scheduler",
    "model_output_name",
    "outputModel",
    "processing_status",
    "data",
)
FIELDS += (
    "baseModelDetails",
    "parameterCount",
    "deprecationDate",
    "year",
    "month",
    "day",
    "pricing",
    "input",
    "step",
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["1e400", "-5", "9" * 40]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8),
    max_leaves=25,
)
READERS = {
    "together job": together.job_of,
    "together file": together.file_of,
    "together batch": lambda api, raw: together_chat.batch_of(api, raw if isinstance(raw, dict) else {}),
    "fireworks job": fireworks.job_of,
    "fireworks batch": fireworks_serving.batch_of,
    "fireworks deployment": fireworks_deployments._deployment,
}


@pytest.fixture(scope="module")
def api():
    with httpx.Client() as client:
        yield Api(Access("Somewhere", "https://example.org/v1", "key", {"account_id": "lab"}), client)


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=30, deadline=None)
@given(raw=st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=2, max_size=12) | JSON)
def test_nothing_that_comes_back_breaks_the_reading(api, reader, raw):
    try:
        found = READERS[reader](api, raw)
    except errors.ProviderError:
        return
    assert found.id
    if reader.endswith("job"):
        assert found.phase in Phase
        assert found.cost_microdollars is None or 0 <= found.cost_microdollars < 2**63
        assert found.trained_tokens is None or 0 <= found.trained_tokens < 2**63
        assert found.progress is None or 0 <= found.progress <= 1


@settings(max_examples=30, deadline=None)
@given(raw=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=12))
def test_no_listed_model_breaks_the_list(raw):
    offer = fireworks_offers.offer_of(raw)
    assert offer.price.source
    offer = together_offers._offer("a/model", trained=True, served=True, raw=raw)
    fields = providers()["together"].training.hyperparameters(offer)
    assert len(fields) == len({field.name for field in fields})
