"""Every fault at every request of a push, one at a time, and kills at every request and at random times, in both modes.

    python tests/campaigns/hub.py                 all of it: some ten minutes
    python tests/campaigns/hub.py --mode lfs --only kills --random 50

A trial pushes a larger build over a smaller one (or into no repository) while a real client reads all the time.  It has to end
verified, in one commit, with the reader having seen one build or the other; after a kill the same command goes on, and blobs that
the Hub has are not sent again.  Prints a row for each request; ends with 1 where a trial failed.  ``·`` is a fault that the push
did not meet.
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
from hub.world import World, opened

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
        with tempfile.TemporaryDirectory() as folder, opened(Path(folder), mode, part=70_000) as world:
            if options.only in (None, "faults"):
                failed += faults(world, Path(folder))
            if options.only in (None, "kills"):
                failed += kills(world, Path(folder))
            if options.only in (None, "random"):
                failed += at_random(world, Path(folder), options.random, random.Random(options.seed))
    print("\n".join(failed) or "every trial ended as it has to")
    sys.exit(1 if failed else 0)


def faults(world: World, folder: Path) -> list[str]:
    """A row for each request, a column for each fault."""
    print(f"\n{world.mode + ': what happens once':24}" + "".join(f"{fault:>10}" for fault in FAULTS))
    failed = []
    for one in (*endpoints(world.mode), *PULL_REQUEST):
        cells = []
        for fault, given in FAULTS.items():
            trial = Trial(world, folder, onto=one.name != "create")
            world.hub.fault(one.method, one.path, **given)
            asked = {"create_pr": True} if one in PULL_REQUEST else {}
            try:
                wrong = trial.wrong(trial.push(**asked).answer(), pull_request=bool(asked))
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            met = not world.hub.waiting()
            cells.append("FAILED" if wrong else "through" if met else "·")
            if not met and (one.name, fault) not in NEVER:
                wrong = wrong or "the fault was not met"
            if wrong:
                failed.append(f"{world.mode}, {one.name}, {fault}: {wrong}")
        print(f"{one.name:24}" + "".join(f"{cell:>10}" for cell in cells), flush=True)
    return failed


def kills(world: World, folder: Path) -> list[str]:
    """A row for each request: killed when it arrives, or when it is done but not answered."""
    print(f"\n{world.mode + ': killed when it':24}" + "".join(f"{when:>10} sent ×" for when in _KILLS))
    failed = []
    for one in endpoints(world.mode):
        cells = []
        for when in _KILLS:
            trial = Trial(world, folder, onto=one.name != "create")
            killed = trial.killed_at(one, when)
            wrong = _goes_on(trial)
            if not killed:
                wrong = wrong or "it was not killed"
            cells.append(f"{'FAILED' if wrong else 'goes on':>10} {world.hub.sent() / trial.weight:6.2f}")
            if wrong:
                failed.append(f"{world.mode}, killed when {one.name} {when}: {wrong}")
        print(f"{one.name:24}" + "".join(cells), flush=True)
    return failed


def at_random(world: World, folder: Path, number: int, chance: random.Random) -> list[str]:
    """Kills at random times within what a push takes."""
    began = time.perf_counter()
    Trial(world, folder).push().answer()
    longest = time.perf_counter() - began
    failed, sent, killed = [], [], 0
    for attempt in range(number):
        trial = Trial(world, folder, onto=attempt % 4 != 0)
        job = trial.push()
        time.sleep(chance.uniform(0, longest))
        job.kill()
        killed += job.ended() < 0
        wrong = _goes_on(trial)
        sent.append(world.hub.sent() / trial.weight)
        if wrong:
            failed.append(f"{world.mode}, random kill {attempt}: {wrong}")
    print(
        f"\n{world.mode}: {killed} of {number} killed at random times, {len(failed)} failed; "
        f"sent × {median(sent):.2f} (median), {max(sent):.2f} (most)",
        flush=True,
    )
    return failed


def _goes_on(trial: Trial) -> str | None:
    try:
        wrong = trial.wrong(trial.push().answer())
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    if trial.world.hub.sent_again():
        return wrong or f"{trial.world.hub.sent_again()} bytes were sent although they were there"
    return wrong


if __name__ == "__main__":
    main()
