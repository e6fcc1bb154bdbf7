"""Paths: from the paths of other people's machines to media here.

**Rewriter** maps a written path to a media item; **rules** say how, and are learned from the paths and an **index** of what is
under the media roots.
"""

from .learning import Learned, learn
from .rewriter import Rewriter, frames_in
from .rules import Rule, Rules
from .tree_backends import LocalPath, modified

__all__ = ["Learned", "LocalPath", "Rewriter", "Rule", "Rules", "frames_in", "learn", "modified"]
