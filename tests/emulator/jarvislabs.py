"""JarvisLabs' API by region (the first part of the path stands for the region's host): stock, wallet, keys, machines.

A machine that is up is entered at a real sshd, which the test names: things["jarvislabs", "main", "server"]["sshd"] =
{"port", "user", "authorized_keys"}. `no_money` there, `fails` (a machine that cannot be made) and `stays` (one that is
not destroyed) are set in the same way.
"""

from pathlib import Path
from typing import Any

from tests.emulator._service import Call, Problem, Service, public
from tests.emulator._world import World

MACHINE = {
    "type": "object",
    "properties": {
        **{
            name: {"type": "string"}
            for name in (
                "gpu_type",
                "region",
                "duration",
                "disk_type",
                "http_ports",
                "script_args",
                "arguments",
            )
        },
        "name": {"type": "string", "pattern": "^[a-zA-Z0-9 _-]{1,40}$"},
        "num_gpus": {"type": "integer", "minimum": 1},
        "hdd": {"type": "integer", "minimum": 20},
        "is_spot": {"type": "boolean"},
        "script_id": {"type": ["string", "null"]},
        "fs_id": {"type": ["integer", "null"]},
    },
    "required": ["gpu_type", "num_gpus", "hdd", "region", "name", "duration"],
    "additionalProperties": False,
}
KEY = {
    "type": "object",
    "properties": {"ssh_key": {"type": "string"}, "key_name": {"type": "string"}},
    "required": ["ssh_key", "key_name"],
    "additionalProperties": False,
}
# gpu, region, free, price
STOCK = [
    ("L4", "india-noida-01", 0, 0.44),
    ("L4", "india-chennai-01", 2, 0.44),
    ("A100", "india-noida-01", 4, 1.29),
    ("H200", "europe-01", 0, 3.8),
]
# Seconds of a machine's life: unknown by number, being made, then it runs.
UNKNOWN, MAKING = 20.0, 60.0


def error(status: int, message: str, code: str) -> Any:
    """FastAPI's shape."""
    return {"detail": message}


SERVICE = Service("jarvislabs", "/india-noida-01", error=error)


def _server(call: Call) -> dict[str, Any]:
    return call.things("server").get("sshd", {})


@SERVICE.route("GET", "/{region}/misc/")
def currency(call: Call) -> Any:
    return {"success": False}


@SERVICE.route("GET", "/{region}/users/balance")
def balance(call: Call) -> Any:
    return {"balance": 0.0 if _server(call).get("no_money") else 20.5, "grants": 0.0}


@SERVICE.route("GET", "/{region}/misc/server_meta")
def stock(call: Call) -> Any:
    rows = [
        {
            "gpu_type": gpu,
            "region": region,
            "num_free_devices": free,
            "effective_num_free_devices": free,
            "price_per_hour": price,
            "vram": "24",
            "workload_type": "container",
        }
        for gpu, region, free, price in STOCK
    ]
    return {"server_meta": rows, "cpu_meta": {}}


@SERVICE.route("GET", "/{region}/ssh/")
def keys(call: Call) -> Any:
    return [public(key) for key in call.things("key").values()]


@SERVICE.route("POST", "/{region}/ssh/", body=KEY)
def add_key(call: Call) -> Any:
    id = call.world.new_id("key")
    call.put("key", id, {**call.json, "key_id": id})
    path = Path(_server(call)["authorized_keys"])
    path.write_text(f"{path.read_text()}{call.json['ssh_key']}\n")
    return {"success": True}


@SERVICE.route("POST", "/{region}/templates/{template}/create", body=MACHINE)
def create(call: Call) -> Any:
    if call.json["region"] != call.params["region"]:
        raise Problem(404, "No such region at this host")
    if _server(call).get("no_money"):
        raise Problem(403, "Insufficient balance. Please recharge your account.")
    id = int(call.world.new_id("")[:6])
    call.made("machine", str(id), call.json["name"])
    price = next(price for gpu, _, _, price in STOCK if gpu == call.json["gpu_type"])
    machine = {**call.json, "machine_id": id, "_price": price * call.json["num_gpus"], "_gone": False}
    call.put("machine", str(id), machine | {"framework": call.params["template"]})
    return {"machine_id": id}


def _state(call: Call, machine: dict[str, Any]) -> str:
    world: World = call.world
    age = (world.now() - machine["_at"]) * world.speed
    if _server(call).get("fails"):
        return "Failed"
    return "Running" if age >= MAKING else "Creating"


def _shown(call: Call, machine: dict[str, Any]) -> dict[str, Any]:
    state, server = _state(call, machine), _server(call)
    ssh = f"ssh -o StrictHostKeyChecking=no -p {server.get('port')} {server.get('user')}@127.0.0.1"
    cost = machine["_price"] * (call.world.now() - machine["_at"]) * call.world.speed / 3600
    names = ("machine_id", "gpu_type", "num_gpus", "hdd", "region", "framework")
    return {
        **{name: machine[name] for name in names},
        "instance_name": machine["name"],
        "status": state,
        "cost": cost,
        "ssh_str": ssh if state == "Running" else None,
    }


def _there(call: Call) -> list[dict[str, Any]]:
    return [each for each in call.listed("machine") if not each["_gone"]]


@SERVICE.route("GET", "/{region}/users/fetch")
def machines(call: Call) -> Any:
    return {"success": True, "instances": [_shown(call, each) for each in _there(call)]}


@SERVICE.route("GET", "/{region}/users/fetch/{id}")
def one(call: Call) -> Any:
    for machine in _there(call):
        if str(machine["machine_id"]) == call.params["id"]:
            age = (call.world.now() - machine["_at"]) * call.world.speed
            if age >= UNKNOWN:
                return {"success": True, "instance": _shown(call, machine)}
    return {"success": False, "message": "Instance not found"}


@SERVICE.route("GET", "/{region}/misc/status", query=("machine_id",))
def status(call: Call) -> Any:
    machine = _at_region(call)
    if (call.world.now() - machine["_at"]) * call.world.speed < UNKNOWN:
        raise Problem(404, "Not found")
    state = _state(call, machine)
    return {"status": state, "error": "no capacity" if state == "Failed" else None, "code": None}


def _at_region(call: Call) -> dict[str, Any]:
    machine = call.thing("machine", f"{int(call.query['machine_id'])}")
    if machine["region"] != call.params["region"]:
        raise Problem(404, "Not found")
    return machine


@SERVICE.route("POST", "/{region}/misc/destroy", query=("machine_id",))
def destroy(call: Call) -> Any:
    machine = _at_region(call)
    if _server(call).get("stays"):
        return {"sucess": "false", "message": "try later"}
    machine["_gone"] = True
    return {"success": True}
