"""Hub campaign: every fault at every request of a push, kills at every request and at random times, in both modes.

    python tests/campaigns/hub.py                 everything, in some ten minutes
    python tests/campaigns/hub.py --mode lfs --only kills --random 50

A trial pushes a larger build over a smaller one, or creates the repository, while a real client reads again and again.  It must
end verified, in one commit, and the reader must see only one build or the other.  After a kill the same command continues, and
does not send blobs again that the Hub has.  The campaign prints a row for each request, and exits with 1 if a trial fails.  ``·``
is a fault that no request of the push met.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

from hub.client import MODES
from hub.trials import FAULTS, NEVER, PULL_REQUEST, Trial, endpoints
from hub.world import World, running_world

_KILLS = ("arrives", "is done")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=MODES, action="append")
    parser.add_argument("--only", choices=("faults", "kills", "random"))
    parser.add_argument("--random", type=int, default=20, help="kills at random times, in each mode")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed: list[str] = []
    for mode in options.mode or MODES:
        with tempfile.TemporaryDirectory() as folder, running_world(Path(folder), mode, part=70_000) as world:
            if options.only in (None, "faults"):
                failed += faults(world, Path(folder))
            if options.only in (None, "kills"):
                failed += kills(world, Path(folder))
            if options.only in (None, "random"):
                failed += random_kills(world, Path(folder), options.random, random.Random(options.seed))
    print("\n".join(failed) or "every trial succeeded")
    sys.exit(1 if failed else 0)


def faults(world: World, folder: Path) -> list[str]:
    """A row for each request, a column for each fault."""
    print(f"\n{world.mode + ': one fault':24}" + "".join(f"{fault:>10}" for fault in FAULTS))
    failed = []
    for endpoint in (*endpoints(world.mode), *PULL_REQUEST):
        cells = []
        for fault, given in FAULTS.items():
            trial = Trial(world, folder, onto=endpoint.name != "create")
            world.hub.fault(endpoint.method, endpoint.path, **given)
            options = {"create_pr": True} if endpoint in PULL_REQUEST else {}
            try:
                problem = trial.problem(trial.push(**options).answer(), pull_request=bool(options))
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            met = not world.hub.waiting()
            cells.append("FAILED" if problem else "passed" if met else "·")
            if not met and (endpoint.name, fault) not in NEVER:
                problem = problem or "the fault was not met"
            if problem:
                failed.append(f"{world.mode}, {endpoint.name}, {fault}: {problem}")
        print(f"{endpoint.name:24}" + "".join(f"{cell:>10}" for cell in cells), flush=True)
    return failed


def kills(world: World, folder: Path) -> list[str]:
    """A row for each request: the push is killed when it arrives, or when it is handled but not answered."""
    print(f"\n{world.mode + ': killed when it':24}" + "".join(f"{when:>10} sent ×" for when in _KILLS))
    failed = []
    for endpoint in endpoints(world.mode):
        cells = []
        for when in _KILLS:
            trial = Trial(world, folder, onto=endpoint.name != "create")
            killed = trial.killed_at(endpoint, when)
            problem = _continue(trial)
            if not killed:
                problem = problem or "the push was not killed"
            cells.append(f"{'FAILED' if problem else 'continues':>10} {world.hub.sent() / trial.bytes:6.2f}")
            if problem:
                failed.append(f"{world.mode}, killed when {endpoint.name} {when}: {problem}")
        print(f"{endpoint.name:24}" + "".join(cells), flush=True)
    return failed


def random_kills(world: World, folder: Path, number: int, generator: random.Random) -> list[str]:
    """Kills at random times during a push."""
    began = time.perf_counter()
    Trial(world, folder).push().answer()
    longest = time.perf_counter() - began
    failed, sent, killed = [], [], 0
    for attempt in range(number):
        trial = Trial(world, folder, onto=attempt % 4 != 0)
        job = trial.push()
        time.sleep(generator.uniform(0, longest))
        job.kill()
        killed += job.wait() < 0
        problem = _continue(trial)
        sent.append(world.hub.sent() / trial.bytes)
        if problem:
            failed.append(f"{world.mode}, random kill {attempt}: {problem}")
    print(
        f"\n{world.mode}: {killed} of {number} killed at random times, {len(failed)} failed; "
        f"sent × {median(sent):.2f} (median), {max(sent):.2f} (most)",
        flush=True,
    )
    return failed


def _continue(trial: Trial) -> str | None:
    try:
        problem = trial.problem(trial.push().answer())
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    if trial.world.hub.sent_again():
        return problem or f"{trial.world.hub.sent_again()} bytes were sent again"
    return problem


if __name__ == "__main__":
    main()
