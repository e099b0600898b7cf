"""One line of a training file as OpenAI writes it: a conversation, or a prompt with a wanted and an unwanted reply.
Used by the providers that train on preferences too.
"""

from collections.abc import Mapping
from typing import Any

from app import errors
from app.providers._shapes import Example, TuningJob


def render(example: Example, job: TuningJob) -> Mapping[str, Any]:
    """The line for the job's method. Raises errors.Invalid for preference training on an item without a rejected
    reply."""
    tools = {"tools": list(example.tools)} if example.tools else {}
    if job.method != "dpo":
        return {"messages": [*example.messages, example.reply], **tools}
    return {
        "input": {"messages": list(example.messages), **tools},
        "preferred_output": [example.reply],
        "non_preferred_output": [unwanted(example)],
    }


def unwanted(example: Example) -> Mapping[str, Any]:
    """The rejected reply. Raises errors.Invalid where there is none."""
    if example.rejected is None:
        raise errors.Invalid(
            "Preference training needs a rejected reply for each item; this item has none.",
            "Choose supervised training, or a dataset with rejected replies.",
        )
    return example.rejected
