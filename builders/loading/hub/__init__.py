"""Streams from the Hub: annotation files and archives that lie on the Hub, streamed without a copy of the archives on this disk.

::

    repository at one commit ──listed──► annotation files ──cache──► the paths their records ask for (`requested_paths`)
                             ├─────────► archives, each a **pass**          │
                             │              │ one connection, start to end  ▼
                             │              └──── members as they come by ──► rows with the bytes in their cells
                             └─────────► loose files ──ranges, at any time────┘

A **pass** goes through one archive once, or gives the rows whose media are all loose; it is a shard of the stream. Which archive
holds which file is written down nowhere, so rows come in the order of the archives and of the members in them, as in builds; a
member's rows come in the order of the records. A thread is ahead of the consumer (`prefetch`).

- Annotation files are kept in the client's cache: they are small against the archives, every pass asks for all of them, and the
  readers look into them at any place.
- What a pass has met is kept in our cache by the archive's digest (`member_cache`).  With it, an archive that holds nothing
for the
  records is not asked for again, and the records are told whose media are in no archive. So are the claims of archives on paths
  that several of them hold (`path_owners`).
"""
