"""`python -m tests.emulator [--port N] [--speed X] [--settings]`: all emulated services as a process of their own."""

import argparse

from app.providers import providers
from tests.emulator._server import bind, services
from tests.emulator._world import World


def main() -> None:
    """Serves until it is killed; the first line says where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--settings", action="store_true", help="say what points Tunebook here")
    asked = parser.parse_args()
    world = World(speed=asked.speed)
    server = bind(world, asked.port)
    print(world.base, flush=True)
    for name, value in environment(world).items() if asked.settings else ():
        print(f"{name}={value}", flush=True)
    server.serve_forever()


def environment(world: World) -> dict[str, str]:
    """The settings that point Tunebook at every emulated service."""
    found = {"TUNEBOOK_ALLOW_PRIVATE_BASE_URLS": "1"}
    for service in services().values():
        name = f"TUNEBOOK_{service.name.upper()}"
        found |= {
            f"{name}_BASE_URL": world.url(service.name, service.base_path),
            f"{name}_API_KEY": "sk-test",
        }
        provider = providers().get(service.name)
        needed = [field.name for field in provider.fields if field.required] if provider else []
        found |= {f"{name}_{field.upper()}": "emulated" for field in needed}
    return found


if __name__ == "__main__":
    main()
