"""Messages to workers are kept back: tests of launches advance the runs themselves."""

import pytest


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every message that would have gone to a worker, in order."""
    messages: list[tuple[str, int]] = []
    for module in ("app.queue", "workers.sweep"):
        monkeypatch.setattr(f"{module}.send", lambda task, row_id: messages.append((task, row_id)))
    return messages
