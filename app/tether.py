"""Ends a child process whose supervisor is gone, even by kill -9. Held by app/serve.py and workers/celery_app.py.

The supervisor keeps the only writing end of a pipe and never writes. When it dies, however it dies, the
kernel closes that end, and every process that reads the other end learns of it. Works on all Unix systems.
"""

import os
import signal
import threading
import time

TETHER = "TUNEBOOK_TETHER"
GRACE_SECONDS = 4.0


def hold_tether() -> None:
    """Starts a thread that ends this process once the supervisor is gone; does nothing without one.

    Called again in each forked child, because threads do not survive a fork.
    """
    reader = os.environ.get(TETHER, "")
    if reader.isdigit():
        threading.Thread(target=_wait, args=(int(reader),), daemon=True).start()


def _wait(reader: int) -> None:
    try:
        while os.read(reader, 1):
            pass
    except OSError:
        return
    if os.getpgid(0) == os.getpid():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.killpg(0, signal.SIGKILL)
    # A forked child is ended by its parent first; this is for when the parent was killed as well.
    time.sleep(GRACE_SECONDS + 1)
    os.kill(os.getpid(), signal.SIGKILL)
