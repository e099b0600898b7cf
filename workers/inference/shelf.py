"""The models in memory: loaded when asked for, the least recently used unloaded where room is needed. Used by device.py;
the functions that load and unload run in the device's thread alone."""

import gc
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .asked import ModelName
from .options import Options, cores
from .refusals import ERRORS, Refusal, refusal_of

if TYPE_CHECKING:
    from .lane import Lane

# Of the device's memory, where no bound is set: the rest is for what texts need.
SHARE = 0.6


@dataclass
class Held:
    """A loaded model. It stays while it has `users`; `used` is when the last one left (monotonic)."""

    name: ModelName
    lane: "Lane"
    users: int = 0
    used: float = field(default_factory=time.monotonic)


class Shelf:
    """Loaded models by name."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._bases: dict[tuple[str, ...], Any] = {}
        self.held: dict[ModelName, Held] = {}

    def hold(self, name: ModelName) -> Held | None:
        """The loaded model, kept for one more user; None where it is not loaded. From any thread."""
        with self._lock:
            found = self.held.get(name)
            if found:
                found.users += 1
            return found

    def leave(self, held: Held) -> None:
        """One user less. From any thread."""
        with self._lock:
            held.users -= 1
            held.used = time.monotonic()

    def all(self) -> list[Held]:
        """The loaded models. From any thread."""
        with self._lock:
            return list(self.held.values())

    def make_room(self, name: ModelName) -> bool:
        """Unloads what is not in use, the least recently used first, until the model fits; whether it does now.

        Raises Refusal where it never will.
        """
        start_torch(self._options.threads)
        from .hub_loading import wanted_bytes

        limit = self._limit()
        while True:
            wanted = wanted_bytes(name, self._bases)
            if sum(held.lane.language.bytes for held in self.all()) + wanted <= limit:
                return True
            if wanted > limit:
                raise Refusal(
                    "out_of_memory",
                    f"The model needs about {wanted / 1e9:.1f} GB and all models may hold {limit / 1e9:.1f} GB.",
                    "Raise TUNEBOOK_INFERENCE_BYTES, or take a smaller or quantized model.",
                )
            if not self.drop_oldest():
                return False

    def load(self, name: ModelName) -> Held:
        """Loads a model that has room, for one user. Raises Refusal."""
        from .lane import Lane

        try:
            language = self._load(name)
        except ERRORS as error:
            failed = refusal_of(error)
            if failed.kind != "out_of_memory" or not self.all():
                raise failed from error
            language = None
        if language is None:
            # Only now is nothing of the failed try held any more.
            while self.drop_oldest():
                pass
            free_memory()
            try:
                language = self._load(name)
            except ERRORS as error:
                raise refusal_of(error) from error
        held = Held(name, Lane(language), users=1)
        with self._lock:
            self.held[name] = held
        return held

    def _load(self, name: ModelName) -> Any:
        from jinja2 import TemplateError
        from safetensors import SafetensorError

        from .hub_loading import load_hub
        from .loading import load_starter

        try:
            return load_starter(name) if name.kind == "starter" else load_hub(name, self._bases)
        except SafetensorError as error:
            raise Refusal(
                "broken", f"The weights of {name.id} cannot be read: {error}", "Restore them from a backup."
            ) from error
        except TemplateError as error:
            raise Refusal(
                "broken",
                f"The chat template of {name.id} cannot be used: {error}",
                "Look at chat_template in the model's folder.",
            ) from error

    def drop_oldest(self) -> bool:
        """Unloads the least recently used model that nobody uses; whether there was one."""
        unused = [held for held in self.all() if held.users == 0]
        return bool(unused) and self.drop(min(unused, key=lambda held: held.used))

    def drop(self, held: Held) -> bool:
        """Unloads a model; False where somebody uses it."""
        with self._lock:
            if held.users or self.held.get(held.name) is not held:
                return False
            del self.held[held.name]
        held.lane.language.release()
        # The lane is still in the caller's hands; what it holds is not.
        held.lane.language.model = held.lane.prefix = None
        free_memory()
        return True

    def _limit(self) -> int:
        if self._options.memory_bytes:
            return self._options.memory_bytes
        import torch

        if torch.cuda.is_available():
            return int(torch.cuda.mem_get_info()[1] * SHARE)
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * SHARE)


def start_torch(threads: int) -> None:
    """Imports PyTorch, the first time, with so many threads (0: one for each core)."""
    if "torch" in sys.modules:
        return
    from workers.training.process import keep_freed_memory, set_threads

    set_threads(threads or cores())
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(threads or cores())
    if not torch.cuda.is_available():
        keep_freed_memory()


def free_memory() -> None:
    """Gives back what nothing refers to any more."""
    gc.collect()
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
