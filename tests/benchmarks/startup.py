"""What it costs to ask the command for its help: processor time of each, beside Python's own and what the imports cost.

python tests/benchmarks/startup.py [--repeats 5]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys

from modalmix.builders.cli import NAMES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each (default: %(default)s)")
    repeats = parser.parse_args().repeats
    commands = {
        "python": ["-c", "pass"],
        "modalmix --version": ["-m", "modalmix", "--version"],
        "modalmix --help": ["-m", "modalmix", "--help"],
        **{f"modalmix {name} --help": ["-m", "modalmix", name, "--help"] for name in NAMES},
        "import modalmix.builders": ["-c", "import modalmix.builders"],
        "import datasets": ["-c", "import datasets"],
        "import datasets, modalmix.builders": ["-c", "import datasets, modalmix.builders"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            seconds[name].append(processor_seconds(command))
    print(f"{'':36} median     least  (s of processor time, {repeats} runs)")
    for name, measured in seconds.items():
        print(f"{name:36} {statistics.median(measured):6.3f}    {min(measured):6.3f}")


def processor_seconds(command: list[str]) -> float:
    """User and system time of a new process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
