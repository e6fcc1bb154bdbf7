"""``modalmix paths``: how the paths in DATA map to files here."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from .data_arguments import add_data, add_reading, options_of

if TYPE_CHECKING:
    from rich.console import Console

    from ..paths import Learned, Rule

USAGE = "DATA… [options]"
HELP = "show how the paths in DATA map to files here, and save the rules"
DESCRIPTION = (
    "Compares the paths in the annotation files with the files under the media roots, in folders and archives, and "
    "learns rules that map one to the other. Prints the rules, and the paths that are missing or ambiguous. The exit "
    "code is 1 if there are any."
)


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    add_data(parser)
    parser.add_argument("--save", metavar="FILE", help="write the rules to this file, such as rules.yaml")
    parser.add_argument(
        "--index", metavar="DIR", help="keep the index of the media roots in this folder (default: the user's cache)"
    )
    add_reading(parser)


def run(arguments: Namespace) -> int:
    """Runs the command."""
    import msgspec
    from rich.console import Console

    from ..paths import learn
    from ..pipeline.inputs import splits
    from ..pipeline.rewriters import roots_of
    from ..pipeline.written_paths import written_paths
    from .progress import CountMeter, shown

    options = options_of(arguments)
    by_split = splits(arguments.data, format=options.format, seed=arguments.seed)
    sources = [source for some in by_split.values() for source in some]
    with shown(arguments, CountMeter("reading paths and media roots")):
        learned = learn(
            written_paths(sources, options),
            list(dict.fromkeys(root for source in sources for root in roots_of(source, options))),
            {"image": options.image_folder, "video": options.video_folder},
            rules=options.rules,
            cache=arguments.index,
        )
    rules = learned.rules
    if arguments.save:
        rules.save(arguments.save)
    if arguments.json:
        result = {**msgspec.to_builtins(rules), "found": rules.total - rules.missing - rules.ambiguous,
                "missing": rules.missing, "ambiguous": rules.ambiguous, "problems": learned.problems}  # fmt: skip
        print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    elif not arguments.quiet:
        show(learned, Console(), saved=arguments.save)
    return 1 if rules.missing or rules.ambiguous else 0


def show(learned: Learned, console: Console, saved: str | None = None) -> None:
    """Prints the rules and the counts.

    Args:
        learned: the rules and the counts.
        console: console to print to.
        saved: file with the saved rules.
    """
    from rich.table import Table
    from rich.text import Text

    rules = learned.rules
    table = Table(title="path rules", title_justify="left")
    table.add_column("rule", overflow="fold", ratio=2)
    table.add_column("paths", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("written path → file here", overflow="fold", ratio=3)
    by_prefix = sum(rule.paths for rule in rules.rules if rule.kind in ("prefix", "anywhere"))
    found = rules.total - rules.missing - rules.ambiguous
    as_written = found - by_prefix
    if as_written > 0 or not rules.total:
        table.add_row("as written", f"{as_written:,}", _share(as_written, rules.total), "")
    for rule in rules.rules:
        before, after = next(iter(rule.examples), ("", ""))
        example = Text(f"{_printable(before)}\n→ {_printable(after)}" if before else "")
        table.add_row(
            Text(_printable(_words(rule, rules.roots))), f"{rule.paths:,}", _share(rule.paths, rules.total), example
        )
    table.add_section()
    for word, count, style in (("missing", rules.missing, "red"), ("ambiguous", rules.ambiguous, "yellow")):
        example = Text(_printable(rules.missing_examples[0]) if word == "missing" and rules.missing_examples else "")
        table.add_row(Text(word, style if count else ""), f"{count:,}", _share(count, rules.total), example)
    console.print(table)
    console.print(f"{found:,} of {rules.total:,} paths found", highlight=False)
    for question in rules.questions:
        console.print(Text.assemble(("? ", "yellow"), _printable(question)))
    for problem in learned.problems:
        console.print(Text.assemble(("! ", "red"), _printable(problem)))
    if saved:
        console.print(Text(f"The rules are in {_printable(saved)}"))


def _words(rule: Rule, roots: list[str]) -> str:
    if rule.kind == "prefix":
        root = roots[rule.root - 1] if 0 < rule.root <= len(roots) else f"media root {rule.root}"
        return f"{rule.before or '(nothing)'} → {root}{f'/{rule.to}' if rule.to else ''}"
    if rule.kind == "extension":
        return f"{rule.before} → {rule.to}"
    if rule.kind == "colon":
        return f": → {rule.to or '(nothing)'}"
    return {
        "anywhere": "the longest suffix that exists under a root",
        "backslash": "\\ → /",
        "url": "URL quoting decoded",
        "case": "letter case ignored",
        "unicode": "Unicode form ignored",
    }[rule.kind]


def _printable(text: str) -> str:
    """Text without terminal control characters; undecodable bytes appear as Python escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text
    )


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else "–"
