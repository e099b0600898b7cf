"""Keys and values in buffers with room for what follows: a new token is written there, where Transformers would copy all
that is held. Used by generation.py; imports Transformers 4.54 or later."""

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

# Tokens that a new buffer has to spare.
ROOM = 64


class RoomyLayer(DynamicLayer):
    """One layer's keys and values, (prompts, heads, tokens, size)."""

    key_buffer: torch.Tensor | None = None
    value_buffer: torch.Tensor | None = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Adds tokens; returns all keys and all values."""
        if self.keys is None or self.values is None or not self.keys.numel():
            return super().update(key_states, value_states, *args, **kwargs)
        self.keys, self.key_buffer = self._added(self.keys, key_states, self.key_buffer)
        self.values, self.value_buffer = self._added(self.values, value_states, self.value_buffer)
        return self.keys, self.values

    def _added(
        self, held: torch.Tensor, new: torch.Tensor, buffer: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        length, wanted = held.shape[-2], held.shape[-2] + new.shape[-2]
        # Rows that were chosen, or copied, lie elsewhere than in the buffer.
        if buffer is None or buffer.data_ptr() != held.data_ptr() or wanted > buffer.shape[-2]:
            buffer = held.new_empty((*held.shape[:-2], wanted + ROOM, held.shape[-1]))
            buffer[..., :length, :] = held
        buffer[..., length:wanted, :] = new
        return buffer[..., :wanted, :], buffer


def give_room(cache: Any) -> None:
    """Lets the cache's layers that hold everything grow without copying; others stay as they are."""
    for layer in getattr(cache, "layers", []):
        if type(layer) is DynamicLayer:
            layer.__class__ = RoomyLayer
