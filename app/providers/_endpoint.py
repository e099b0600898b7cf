"""Any OpenAI-compatible address as a provider that only answers chat: vLLM, LoRAX, Ollama, llama.cpp's server, a
gateway. Not in the registry: app/runs/reply_target.py makes one for an endpoint of the Settings page.
"""

from app.errors import Refused
from app.providers._base import Chat, Provider
from app.providers._openai_chat import ChatRequest, ask_chat, chat_body
from app.providers._shapes import Decoding, KeyCheck, Offer, Price, Question, Reply
from app.service_http import Access, Api
from app.service_json import rows, text

# As many as OpenAI and vLLM give at most.
TOP_LOGPROBS = 20
# What newer models refuse by name, and what to send in its place.
OTHER_NAMES = {"max_tokens": "max_completion_tokens"}


def request(api: Api, model: str, question: Question, decoding: Decoding) -> ChatRequest:
    """What asking sends."""
    return ChatRequest(api, chat_body(model, question, decoding))


def ask(api: Api, model: str, question: Question, decoding: Decoding) -> Reply:
    """Asks once, and once more where the address names another spelling of a decoding parameter: that was a clear
    refusal, for which nothing was paid."""
    body = chat_body(model, question, decoding)
    try:
        return ask_chat(api, body)
    except Refused as error:
        adapted = _adapted(body, error.message)
        if adapted is None:
            raise
    return ask_chat(api, adapted)


def _adapted(body: dict[str, object], said: str) -> dict[str, object] | None:
    """The body without what was refused by name; None where nothing was named."""
    adapted = dict(body)
    for name, other in OTHER_NAMES.items():
        if other in said and name in adapted:
            adapted[other] = adapted.pop(name)
    if "temperature" in said and adapted["temperature"] == 0.0:
        del adapted["temperature"]
    return adapted if adapted != body else None


def check_key(api: Api) -> KeyCheck:
    """Asks for the list of models, which every such server has."""
    names = [text(each, "id") for each in rows(api.get("models"), "data")]
    return KeyCheck("", f"It lists {len(names)} models: {', '.join(names[:5])}.")


def endpoint_provider(name: str, base_url: str, model: str, price: Price | None) -> Provider:
    """The provider of one endpoint."""
    offer = Offer(model, price=price)
    return Provider(
        name="endpoint",
        label=name,
        description="An OpenAI-compatible endpoint.",
        base_url=base_url,
        key_help="",
        docs_url="",
        key_required=False,
        connect=lambda access, client: Api(access, client),
        check_key=check_key,
        list_models=lambda api: [offer],
        offers=(offer,),
        chat=Chat(ask=ask, top_logprobs=TOP_LOGPROBS, request=request),
    )


def endpoint_access(name: str, base_url: str, key: str) -> Access:
    """Where the endpoint is."""
    return Access(name, base_url, key)
