"""`python -m training.companions`: makes torchvision and torchaudio importable beside a CPU build of PyTorch. The last
step of making an environment for a toolkit that imports them (AutoTrain, LLaMA-Factory, Ludwig); see environment.py.

The package index has only their CUDA builds for Linux, whose compiled parts do not load beside PyTorch's CPU build, and
then the whole package cannot be imported. Text is trained without those parts, so they are taken out: only here, in an
environment that the bundle made for itself, never in one that a person gave.
"""

import os
import subprocess
import sys
from pathlib import Path

from .failures import Failure

PLACE = "ENVIRONMENTS"


def main() -> None:
    """Does nothing where both can be imported as they are. Raises Failure where they still cannot afterwards."""
    broken = [name for name in ("torchvision", "torchaudio") if not _imports(name)]
    if not broken:
        return
    packages = _own_packages()
    if not _cpu_build():
        raise Failure(
            f"{' and '.join(broken)} cannot be imported beside this PyTorch.",
            "Pin versions that go together.",
        )
    for name in broken:
        _take_out(packages / name)
        if not _imports(name):
            raise Failure(
                f"{name} cannot be imported beside this PyTorch.", "Pin a version of it that goes with it."
            )
        print(f"took the CUDA parts out of {name}, which do not load beside PyTorch's CPU build")


def _take_out(package: Path) -> None:
    # torchvision registers what its compiled part should have brought, and stops; torchaudio goes on without.
    registrations = package / "_meta_registrations.py"
    if registrations.is_file():
        registrations.write_text("", encoding="utf-8")
    for library in (package / "lib").glob("*.so"):
        library.unlink()


def _own_packages() -> Path:
    place = os.environ.get(PLACE)
    prefix = Path(sys.prefix).resolve()
    if not place or not prefix.is_relative_to(Path(place).expanduser().resolve()):
        raise Failure(
            f"{prefix} is not an environment that a bundle made: nothing in it is changed.",
            "Let the bundle make its own: run it without PYTHON.",
        )
    return prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _cpu_build() -> bool:
    import torch

    return torch.version.cuda is None


def _imports(name: str) -> bool:
    done = subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    main()
