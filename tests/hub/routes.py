"""Routes: the function that answers each request."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Answer = Callable[..., None]
TABLE: dict[str, list[tuple[str, re.Pattern[str], Answer]]] = {"hub": [], "cdn": []}

REPO = r"/api/datasets/(?P<name>[^/]+/[^/]+)"


def route(origin: str, methods: str, pattern: str) -> Callable[[Any], Any]:
    def add(answer: Answer) -> Answer:
        for method in methods.split("|"):
            TABLE[origin].append((method, re.compile(pattern + r"\Z"), answer))
        return answer

    return add
