"""What web, workers and clock all use, imported and made ready in the supervisor before they fork, so that its memory is
theirs together. Called by app/up.py through app/forked.py. Nothing here starts a thread, or opens a file or connection.
"""

import pkgutil
from importlib import import_module

# Imported by uvicorn and anyio in each process that serves, only when it starts.
SERVING = (
    "anyio._backends._asyncio",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
)
KINDS = (
    *("augmentations", "baselines", "compute", "export_formats", "figures", "harnesses", "metrics"),
    *("providers", "trainers"),
)


def web_parts() -> None:
    """The application with its routes, all tables and kinds."""
    from sqlalchemy.orm import configure_mappers

    from app.main import application
    from app.render import environment

    for module in SERVING:
        import_module(module)
    for kind in KINDS:
        folder = import_module(f"app.{kind}")
        for info in pkgutil.iter_modules(folder.__path__, f"app.{kind}."):
            import_module(info.name)
    application()
    configure_mappers()
    environment()
