"""Makes a test process read its settings anew. Used by conftest and by tests that change settings."""

from app import db, queue
from app.config import settings
from app.settings import access


def forget_settings(close: bool = False) -> None:
    """Drops what was made from the old settings: engines, the queue's producer, the settings themselves."""
    if close:
        for write in (True, False):
            db.engine(write).dispose()
    db.dispose()
    settings.cache_clear()
    queue.producer.cache_clear()
    access._written.cache_clear()
