"""Tries an endpoint with one short question. Called by workers/endpoints.py, outside any transaction."""

from app.outside import outside_client
from app.settings.chat import ChatError, Target, ask
from app.tables import Endpoint, EndpointState
from app.vault import unseal

QUESTION = [{"role": "user", "content": "Reply with the one word: ready"}]
DECODING = {"temperature": 0, "max_tokens": 16}


def try_endpoint(endpoint: Endpoint) -> tuple[EndpointState, str]:
    """(state, sentence): whether the model answered, and how fast or why not."""
    target = Target(endpoint.base_url, endpoint.model, unseal(endpoint.sealed_key))
    with outside_client(timeout_seconds=30) as client:
        try:
            reply = ask(client, target, QUESTION, DECODING)
        except ChatError as error:
            return EndpointState.FAILED, error.message
    return EndpointState.READY, f"answered in {reply.latency_ms:,.0f} ms"
