"""Looks up the installed packages in the public advisories: python -m tests.advisories (make check).

Ends with 1 when one has a known vulnerability. Without a way to the advisories it says so and ends with 0; the
lowest versions in tests/test_dependencies.py hold also then.
"""

import json
import subprocess
import sys

SECONDS = 120


def main() -> int:
    """The exit code, after one line a finding."""
    command = [sys.executable, "-m", "pip_audit", "-f", "json", "--progress-spinner", "off", "--timeout", "5"]
    try:
        done = subprocess.run(
            [*command, "--skip-editable"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
        found = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        found = []
    looked_up = [each for each in found if "vulns" in each]
    if not looked_up:
        print(
            "*** ADVISORIES NOT LOOKED UP: no way to them from here (pip-audit asks pypi.org). Only the lowest "
            "versions in tests/test_dependencies.py were checked. ***"
        )
        return 0
    known = [(each["name"], each["version"], flaw) for each in looked_up for flaw in each["vulns"]]
    for name, version, flaw in known:
        print(
            f"{name} {version}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        )
    print(f"{len(looked_up)} of {len(found)} packages looked up: {len(known)} known vulnerabilities.")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
