"""Lock the requirements with hashes for Python 3.11 to 3.13; what is asked for comes first.

`make lock` runs it and needs uv; with --check it only compares, and needs no network.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).resolve().parent.parent
HEADER: Final = "# Locked by `make lock` from {source}; do not edit.\n"


NAMES: Final = ("requirements", "requirements-embedded", "requirements-dev")


def main() -> None:
    pairs = [(ROOT / f"{name}.in", ROOT / f"{name}.txt") for name in NAMES]
    if "--check" in sys.argv:
        stale = [problem for source, target in pairs for problem in differences(source, target)]
        sys.exit("\n".join([*stale, "Run: make lock"]) if stale else 0)
    for source, target in pairs:
        lock(source, target)


def differences(source: Path, target: Path) -> Iterator[str]:
    locked = dict(
        re.findall(r"^([A-Za-z0-9._-]+).*?==([^ ;\\]+)", target.read_text(), re.MULTILINE)
    )
    for line in source.read_text().splitlines():
        if re.match(r"[A-Za-z]", line):
            asked = Requirement(line.partition(" #")[0].strip())
            version = locked.get(name_of(asked.name))
            if version is None or not asked.specifier.contains(version):
                yield f"{target.name} has {version or 'nothing'} for “{asked}” of {source.name}."


def lock(source: Path, target: Path) -> None:
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-strip-extras", "--no-header", "--no-annotate"]
    command += ["--no-emit-index-url", "--no-emit-find-links", source.name]
    if target.exists():
        command += ["--output-file", target.name]  # keeps versions that still fit
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    locked = target.read_text() if target.exists() else answer.stdout
    blocks = {name_of(block): block for block in re.split(r"\n(?=[A-Za-z])", locked.strip())}
    lines = [HEADER.format(source=source.name)]
    for line in source.read_text().splitlines():
        if re.match(r"[A-Za-z]", line):
            requirement, _, reason = line.partition(" #")
            if reason:
                lines.append(f"# {reason.strip()}")
            lines.append(blocks.pop(name_of(requirement)))
        elif line.startswith("# ---"):
            lines.append(f"\n{line}")
    if blocks:
        lines += ["\n# --- needed by those above ---", *blocks.values()]
    target.write_text("\n".join(lines) + "\n")


def name_of(requirement: str) -> str:
    """Return the package's normalised name, without extras and version."""
    name = re.match(r"[A-Za-z0-9._-]*[A-Za-z0-9]", requirement)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else ""


if __name__ == "__main__":
    main()
