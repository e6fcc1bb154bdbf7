"""Preview: pages that show samples of annotation files in place, of a built folder, or of a repository of the Hub.

**Collection**: the samples to show; it lists them once (`Entry`) and gives each one in full (`SampleDetails`).  **Index**: the
entries in a temporary database, for mixes, findings and search.  **Sheet**: one sample as the page draws it, with the addresses
of its media.  **Viewer**: the answer to every request of the page; `Server` gives the answers to a browser, `export` writes
those for some samples to files.

::

    annotations │ Parquet ──entries──► Index ──numbers──► page (list, search, filters)
                └──────────details───► sheet, media, frames, masks  (only what the page shows is read)
"""

from __future__ import annotations

from .check_findings import CheckFindings
from .export import export
from .server import Server
from .sources import open_collection
from .viewer import Viewer

__all__ = ["CheckFindings", "Server", "Viewer", "export", "open_collection"]
