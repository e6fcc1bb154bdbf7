"""``modalmix preview``: pages to look at samples."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from .data_arguments import add_data, add_reading, options_of

if TYPE_CHECKING:
    from ..preview import Viewer

USAGE = "DATA… [options]"
HELP = "show samples in a browser: chat, pictures, players, masks, findings"
DESCRIPTION = (
    "Shows samples in a browser, from annotation files, a built folder, or a dataset on the Hub. Without --out it "
    "serves the page to this machine only, until you press Ctrl-C."
)


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    add_data(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--serve", type=int, metavar="PORT", help="serve on this port of 127.0.0.1 (default: a free port)"
    )
    where.add_argument(
        "--out", metavar="PAGE", help="write a folder or an .html file instead, with --samples of the samples"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--findings", metavar="FILE",
                        help="show the findings that modalmix check --json FILE has written, too")  # fmt: skip
    parser.add_argument("--samples", type=int, default=24, metavar="N",
                        help="with --out: the number of samples (default: %(default)s)")  # fmt: skip
    parser.add_argument("--finding", default="", metavar="CODE",
                        help="with --out: only samples with this finding, or: rejected")  # fmt: skip
    parser.add_argument(
        "--search", default="", metavar="WORDS", help="with --out: only samples that contain these words"
    )
    add_reading(parser)


def run(arguments: Namespace) -> int:
    """Runs the command."""
    from ..core.errors import DataError
    from ..preview import CheckFindings, Viewer, open_collection

    if arguments.samples < 1:
        raise DataError(f"--samples {arguments.samples}: at least one")
    if arguments.serve is not None and not 0 <= arguments.serve < 65536:
        raise DataError(f"--serve {arguments.serve} is not a port; ports are 0 to 65535")
    collection = open_collection(arguments.data, options_of(arguments), seed=arguments.seed)
    viewer = Viewer(collection, CheckFindings(arguments.findings) if arguments.findings else None)
    try:
        return _export(viewer, arguments) if arguments.out else _serve(viewer, arguments)
    finally:
        viewer.close()


def _export(viewer: Viewer, arguments: Namespace) -> int:
    import json
    import os
    import webbrowser

    from ..preview import export
    from ..preview.entry_index import Filter
    from .progress import CountMeter, shown

    with shown(arguments, CountMeter("writing samples")) as meter:
        path = export(
            viewer,
            arguments.out,
            Filter("", arguments.finding, arguments.search),
            arguments.samples,
            progress=meter.advance,
        )
    if arguments.json:
        print(json.dumps({"page": path}))
    elif not arguments.quiet:
        print(f"{path} — open it in a browser; keep the folder beside it")
    if arguments.open:
        webbrowser.open(f"file://{os.path.abspath(path)}")
    return 0


def _serve(viewer: Viewer, arguments: Namespace) -> int:
    import json
    import signal
    import webbrowser

    from ..preview import Server

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)  # so that temporary copies are removed
    server = Server(viewer, arguments.serve or 0)
    try:
        viewer.start()
        # the address is the purpose of the command: it is printed even with --quiet
        print(json.dumps({"url": server.url}) if arguments.json else server.url, flush=True)
        if not (arguments.quiet or arguments.json):
            print(
                f"Only this machine can open it; from another one, run ssh -L {server.port}:127.0.0.1:{server.port} first. "
                "Press Ctrl-C to stop.",
                flush=True,
            )
        if arguments.open:
            webbrowser.open(server.url)
        server.serve()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
    return 0
