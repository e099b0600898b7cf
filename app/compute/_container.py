"""A run in a container that nobody can log into: the script that it starts with, and what that script tells in its log.
Used by huggingface_jobs and modal.

The bundle lies in a mounted folder, $BUNDLE. The script works on a copy, ends the run at its deadline while there is
still time to bring results home, tells new lines of the live files in the job's own log, and puts out/ back into the
mounted folder, exit_code last.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from app.compute._base import STAYS, Order

MOUNTED = "/tunebook"
MARK = "@tunebook"
# Only files of lines can be told in pieces; progress.json comes whole.
GROWING = ("metrics.jsonl", "log.txt")
KEY = re.compile(r"tb-[0-9a-f]{16}")
TOLD = re.compile(rf"{MARK} (\S+) (\d+) ?(.*)")
# Of the deadline, what is left to bring results home.
HOME_SECONDS = 300.0

SCRIPT = """set -u
began=$(date +%s)
work=$(mktemp -d)
for each in "$BUNDLE"/*; do
  name=${each##*/}
  case $name in
    out) ;;
    "$BASE") ln -s "$each" "$work/$name" ;;
    *) cp -R "$each" "$work/" ;;
  esac
done
mkdir -p "$work/out"
cd "$work" || exit 1
told=
tell() {
  for name in GROWING; do
    [ -f "out/$name" ] || continue
    sent=$(cat ".told.$name" 2>/dev/null || echo 0)
    whole=$(($(wc -l < "out/$name")))
    [ "$whole" -gt "$sent" ] || continue
    awk -v from="$sent" -v to="$whole" -v name="$name" \\
      'NR > to { exit } NR > from { print "MARK", name, NR, substr($0, 1, 8000) }' "out/$name"
    echo "$whole" > ".told.$name"
  done
  if [ -f out/progress.json ]; then
    now=$(tr -d '\\n' < out/progress.json)
    [ "$now" = "$told" ] || printf 'MARK progress.json 0 %s\\n' "$now"
    told=$now
  fi
}
most=$((DEADLINE_SECONDS + 10))
DEADLINE_SECONDS=$((DEADLINE_SECONDS - ($(date +%s) - began)))
export DEADLINE_SECONDS
own=
if command -v setsid > /dev/null; then own=setsid; fi
$own sh -c 'sh run.sh --here > out/console.txt 2>&1; echo $? > .ended.part; mv .ended.part .ended' &
run=$!
stop() { kill "-$1" -- "-$run" 2>/dev/null || kill "-$1" "$run" 2>/dev/null; }
trap 'stop TERM; wait' TERM INT
while [ ! -f .ended ] && kill -0 "$run" 2>/dev/null; do
  if [ $(($(date +%s) - began)) -ge "$most" ]; then
    stop TERM
    sleep 15
    stop KILL
    echo "The run reached its deadline and was ended." >> out/console.txt
    echo 124 > .ended
  fi
  tell
  sleep "${PACE:-3}"
done
stop KILL
[ -f out/log.txt ] || cp out/console.txt out/log.txt
tell
code=$(cat out/exit_code 2>/dev/null || cat .ended 2>/dev/null || echo 137)
for each in exit_code STAYS; do rm -rf "out/$each"; done
mkdir -p "$BUNDLE/out"
cp -R out/. "$BUNDLE/out/" && echo "$code" > "$BUNDLE/out/exit_code" && sync
exit "$code"
"""
SCRIPT = SCRIPT.replace("GROWING", " ".join(GROWING)).replace("MARK", MARK).replace("STAYS", " ".join(STAYS))


def environment(order: Order) -> dict[str, str]:
    """What the script reads. The run's own deadline is shorter than the place's, so that results come home."""
    left = order.deadline_seconds - min(HOME_SECONDS, order.deadline_seconds / 4)
    return {
        "LAUNCH_KEY": order.launch_key,
        "DEADLINE_SECONDS": str(max(int(left), 1)),
        "BUNDLE": MOUNTED,
        "BASE": order.base.name if order.base else "",
        "PYTHONUNBUFFERED": "1",
    }


def files_of(order: Order) -> list[tuple[Path, str]]:
    """(file, its name in the bundle) of everything that goes there, in a fixed order; what came back never does."""
    found = [
        (path, path.relative_to(order.folder).as_posix())
        for path in sorted(order.folder.rglob("*"))
        if path.is_file() and path.relative_to(order.folder).parts[0] != "out"
    ]
    base = order.base
    if base is not None:
        found += [
            (path, f"{base.name}/{path.relative_to(base).as_posix()}")
            for path in sorted(base.rglob("*"))
            if path.is_file()
        ]
    return found


def lines_there(folder: Path) -> dict[str, int]:
    """How many whole lines of each growing file have come to folder/out; a torn last one is cut off."""
    numbers = {}
    for name in GROWING:
        path = folder / "out" / name
        data = path.read_bytes() if path.exists() else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
        numbers[name] = data.count(b"\n")
    return numbers


def take_in(told: Iterable[str], folder: Path) -> bool:
    """Writes what marked lines of a log tell into folder/out, each line once. False where lines are missing between
    what is there and what was told: then the whole log has to be read."""
    have, progress = lines_there(folder), ""
    new: dict[str, dict[int, str]] = {name: {} for name in GROWING}
    for line in told:
        found = TOLD.fullmatch(line.rstrip("\r\n"))
        if not found:
            continue
        name, number, text = found[1], int(found[2]), found[3]
        if name in new:
            new[name][number] = text
        elif name == "progress.json":
            progress = text
    (folder / "out").mkdir(parents=True, exist_ok=True)
    whole = all(_append(folder / "out" / name, have[name], new[name]) for name in GROWING)
    if progress:
        put(folder / "out" / "progress.json", progress.encode())
    return whole


def _append(path: Path, have: int, lines: Mapping[int, str]) -> bool:
    fresh = sorted(number for number in lines if number > have)
    if not fresh:
        return True
    run = [number for place, number in enumerate(fresh, have + 1) if number == place]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{lines[number]}\n" for number in run)
    return len(run) == len(fresh)


def put(path: Path, data: bytes) -> None:
    """A file, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)


def comes_home(name: str) -> bool:
    """Whether a file of out/, named by its path there, is one to bring home; nothing may lead elsewhere."""
    parts = name.split("/")
    return bool(name) and parts[0] not in STAYS and not any(part in ("", ".", "..") for part in parts)


def text_of(site_fields: Mapping[str, Any], name: str) -> str:
    """A field of a site without spaces around it; "" for none."""
    return str(site_fields.get(name, "")).strip()
