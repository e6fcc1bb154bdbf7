"""Archives: their members as media items, without unpacking.

An **archive** is one or several files (pieces) that hold **members**; a member is a name, and where its bytes start::

    X.tar                  X.tar.0  X.tar.1  X.tar.2          the pieces end to end are one stream
    ├ name, start, size    └───────── one stream ────┘        start: offset in the (decompressed) stream
    └ …                                                       zip: offset of the member's data; Parquet: number of the cell

`kind` and `group` say what a file or folder holds, `members` lists (`items.item_of_member`
makes a media item of a member), and `read_through` reads many in one pass, in archive order; `pass_through` does so with one
that lies elsewhere. Nothing is ever written out of an archive, and what is no plain file with a plain name inside (links,
devices, ``..``) is refused with a finding.
"""

from .archive import Archive, Limits, Member
from .detect import group, kind
from .members import members, pass_through, read_through

__all__ = ["Archive", "Limits", "Member", "group", "kind", "members", "pass_through", "read_through"]
