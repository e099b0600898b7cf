"""One run's life at a rented place, the same for each kind: a bundle whose run.sh does little, and what must hold."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.compute._base import Compute, Order, Phase, Site, Status

RUN_SH = """[ "$1" = --here ] || exit 9
mkdir -p out/adapter out/checkpoints/1 out/work
env > out/environment.txt
cat base/weights.txt > out/adapter/adapter_model.safetensors
echo heavy > out/checkpoints/1/state
printf '{"pid": 1}' > out/process.json
n=0
while [ $n -lt LINES ]; do
  n=$((n + 1))
  echo "{\\"step\\": $n, \\"loss\\": 1.5}" >> out/metrics.jsonl
  echo "step $n, ä" >> out/log.txt
  printf '{"step": %s}' $n > out/progress.part && mv out/progress.part out/progress.json
  sleep 0.02
done
WAITS
echo '{"item": 1}' > out/predictions.jsonl
echo CODE > out/exit_code
exit CODE
"""


def new_key() -> str:
    """A launch key."""
    return f"tb-{secrets.token_hex(8)}"


def make_order(
    folder: Path, lines: int = 5, waits: str = "", code: int = 0, deadline: float = 600.0, **more: Any
) -> Order:
    """A bundle below `folder` and the order to run it; `waits`: what run.sh does before it ends."""
    key = new_key()
    bundle, base = folder / key, folder / "base"
    (bundle / "out").mkdir(parents=True)
    base.mkdir(exist_ok=True)
    (base / "weights.txt").write_text("base weights")
    text = RUN_SH.replace("LINES", str(lines)).replace("WAITS", waits).replace("CODE", str(code))
    (bundle / "run.sh").write_text(text)
    (bundle / "code").mkdir()
    (bundle / "code" / "empty.py").write_text("")
    (bundle / "train.jsonl").write_text('{"messages": []}\n')
    (bundle / "out" / "old.txt").write_text("of an earlier try, stays here")
    return Order(key, bundle, deadline, base=base, **more)


def wait_for(holds: Callable[[], Any], seconds: float = 60.0, pause: float = 0.1) -> Any:
    """What `holds` gives once it is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(pause)
    return found


def follow(
    compute: Compute, site: Site, handle: Mapping[str, Any], until: Phase, seconds: float = 20
) -> Status:
    """Asks for the status until a phase is reached."""
    found: list[Status] = []

    def reached() -> bool:
        found.append(compute.status(site, handle))
        return found[-1].phase == until

    wait_for(reached, seconds)
    return found[-1]


def home_of(order: Order) -> Path:
    """Where results come home: out/ beside the bundle, as a run folder has it."""
    return order.folder


def check_results(order: Order, code: int = 0, lines: int = 5) -> None:
    """What must lie in out/ after a fetch."""
    out = order.folder / "out"
    assert (out / "exit_code").read_text().strip() == str(code)
    assert [json.loads(line)["step"] for line in (out / "metrics.jsonl").open()] == list(range(1, lines + 1))
    assert (out / "adapter" / "adapter_model.safetensors").read_text() == "base weights"
    assert json.loads((out / "progress.json").read_text()) == {"step": lines}
    assert (out / "log.txt").read_text(encoding="utf-8").splitlines()[-1] == f"step {lines}, ä"
    assert not (out / "checkpoints").exists()
    assert not (out / "process.json").exists()
    assert f"LAUNCH_KEY={order.launch_key}" in (out / "environment.txt").read_text()


def check_live(order: Order) -> int:
    """What a pull has brought: whole lines in order from the first; how many of the metrics."""
    path = order.folder / "out" / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    assert text == "" or text.endswith("\n")
    steps = [json.loads(line)["step"] for line in text.splitlines()]
    assert steps == list(range(1, len(steps) + 1))
    return len(steps)


def whole_life(compute: Compute, site: Site, order: Order) -> Status:
    """From the order to the release; gives the last status."""
    assert not compute.find(site, order.launch_key)
    handle = compute.submit(site, order)
    assert json.loads(json.dumps(handle)) == handle
    (found,) = compute.find(site, order.launch_key)
    assert found.launch_key == order.launch_key
    follow(compute, site, handle, Phase.RUNNING)
    assert order.launch_key in [each.launch_key for each in compute.jobs(site)]
    adopted = found.handle
    wait_for(lambda: compute.pull(site, adopted, order.folder) or check_live(order) >= 1)
    last = follow(compute, site, adopted, Phase.ENDED)
    compute.fetch(site, adopted, order.folder)
    check_results(order)
    compute.fetch(site, handle, order.folder)
    check_results(order)
    compute.cancel(site, handle)
    compute.release(site, handle)
    compute.release(site, handle)
    assert order.launch_key not in [each.launch_key for each in compute.jobs(site)]
    return last
