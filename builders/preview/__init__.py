"""Preview: pages to look at samples: annotation files in place, a built folder, a repository of the Hub.

**Collection**: what is looked at; it lists its samples once (`Entry`) and gives any one in full (`Shown`).  **Index**: the
entries in a temporary database, where mixes, findings and words are looked up.  **Sheet**: one sample as the page draws it, with
the addresses of its media.  **Viewer**: everything the page can ask for, by address; `serve` answers a browser with it, `export`
writes the answers for some samples down.

::

    annotations │ Parquet ──entries──► Index ──numbers──► page (list, search, filters)
                └───────────shown────► sheet, media, frames, masks  (nothing but what is looked at is read)
"""

from __future__ import annotations

from .check_findings import Told
from .export import export
from .server import Server
from .sources import open_collection
from .viewer import Viewer

__all__ = ["Server", "Told", "Viewer", "export", "open_collection"]
