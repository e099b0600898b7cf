"""What Tunebook tells the server of local models (workers/inference): how it runs, and when a training has the device.
Used by app/up.py and app/runs/steps.py; app/door asks it for answers."""

from app.config import settings
from app.log import log

# Answers under way may end first (workers/inference/server.py).
TAKE_SECONDS = 30.0


def server_environment() -> dict[str, str]:
    """The variables that its process reads; it does not read the settings themselves, to stay small while idle."""
    return {
        "INFERENCE_SOCKET": str(settings().inference_socket),
        "INFERENCE_BYTES": str(settings().inference_bytes),
        "INFERENCE_IDLE_SECONDS": str(settings().inference_idle_seconds),
        "INFERENCE_WAITING": str(settings().inference_waiting),
        "INFERENCE_SERVERS": settings().inference_servers,
        "INFERENCE_THREADS": str(settings().threads),
    }


def take_device(launch_key: str) -> None:
    """Unloads the models from the GPU, where they use one, for a training that begins. A server that cannot be asked
    holds up no training: the worst is that memory does not suffice, which the training says."""
    _tell("take", launch_key, TAKE_SECONDS)


def give_device(launch_key: str) -> None:
    """Lets models be loaded again once a training is over."""
    _tell("give", launch_key, 5.0)


def _tell(what: str, launch_key: str, seconds: float) -> None:
    socket = settings().inference_socket
    if not socket.exists():
        return
    # Here, because the supervisor has no use for it.
    import httpx

    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=seconds) as client:
            answer = client.post(f"http://inference/device/{what}", json={"launch_key": launch_key})
    except httpx.HTTPError as error:
        log.warning("the server of local models could not be told to %s the device: %s", what, error)
        return
    if answer.status_code != 200:
        log.warning("the server of local models does not %s the device: %s", what, answer.text[:300])
