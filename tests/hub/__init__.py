"""A Hub on loopback: the part of the Hub's HTTP interface that transfers of datasets use, with faults on demand.

It has two listeners with different origins, as in production: one for the interface, one for the bytes (LFS blobs, Xet)::

    with Hub(folder) as hub:
        hub.fault("POST", r"/commit/", status=503)
        subprocess.run(…, env={"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_test", …})

Commits are snapshots, not git objects; blob ids are those of git.  There are no quotas and no dataset viewer.
"""

from __future__ import annotations

from .server import Hub

__all__ = ["Hub"]
