"""OpenAI's API: files, fine-tuning jobs, batches, chat, models. Requests are checked by the types of its SDK."""

from openai.types import batch_create_params
from openai.types.chat import completion_create_params

from tests.emulator._openai import add_batches, add_chat, add_files
from tests.emulator._service import Service

SERVICE = Service("openai", "/v1")
add_files(SERVICE)
add_batches(SERVICE, batch_create_params.BatchCreateParams)
add_chat(SERVICE, completion_create_params.CompletionCreateParamsNonStreaming)
