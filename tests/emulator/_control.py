"""What a test in another process does over HTTP below /_emulator/: look at the state, set it, inject faults.

GET state, GET seen, GET things/SERVICE/KIND; POST faults {route, kind, ...}, DELETE faults; POST set {speed, late_list,
refused_keys, paces}; POST advance {seconds}; POST by-hand {service, model}, what a person does at the service itself;
POST reset.
"""

import json
from dataclasses import asdict
from typing import Any

from tests.emulator._service import Answer, public
from tests.emulator._world import Pace, World


def control(world: World, method: str, path: str, raw: bytes) -> Answer:
    """Does what a test asks; 404 for anything unknown."""
    asked: dict[str, Any] = json.loads(raw) if raw else {}
    what = f"{method} {path.split('/')[0]}"
    with world.lock:
        if what == "GET state":
            return Answer(world.state())
        if what == "GET seen":
            return Answer([asdict(seen) for seen in world.seen])
        if what == "GET things":
            _, service, kind = path.split("/")
            return Answer(
                {
                    id: public(thing)
                    for (name, _account, each), found in world.things.items()
                    if (name, each) == (service, kind)
                    for id, thing in found.items()
                }
            )
        if what == "POST faults":
            return Answer(asdict(world.fail(asked.pop("route"), asked.pop("kind"), **asked)))
        if what == "DELETE faults":
            world.faults.clear()
        elif what == "POST set":
            _set(world, asked)
        elif what == "POST advance":
            world.advance(asked["seconds"])
        elif what == "POST by-hand":
            from tests.emulator._server import service

            service(asked["service"]).by_hand(world, asked["model"])
        elif what == "POST reset":
            for each in (world.things, world.blobs, world.faults, world.seen, world.made, world.microdollars):
                each.clear()
        else:
            return Answer({"error": f"no {what}"}, 404)
    return Answer(world.state())


def _set(world: World, asked: dict[str, Any]) -> None:
    for name in ("speed", "late_list"):
        if name in asked:
            setattr(world, name, float(asked[name]))
    world.refused_keys |= set(asked.get("refused_keys", ()))
    for name, pace in asked.get("paces", {}).items():
        world.paces[name] = Pace(**pace)
