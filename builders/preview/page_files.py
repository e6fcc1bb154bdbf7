"""Page files: the page itself, its scripts and styles, and the policy that says what it may load."""

from __future__ import annotations

from importlib.resources import files

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""What the page may do: load its own scripts, styles, pictures and sounds, and nothing else."""

MEDIA_TYPES = {
    "icon.svg": "image/svg+xml",
    "page.css": "text/css; charset=utf-8",
    "data.js": "text/javascript; charset=utf-8",
    "sample.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
"""The files beside ``page.html`` → their media types."""


def page_file(name: str) -> bytes:
    """The content of a file of the page."""
    return files(__package__).joinpath(name).read_bytes()


def page(assets: str, head: str = "") -> bytes:
    """The page itself.

    Args:
        assets: what the addresses of its other files begin with.
        head: more lines for the head of the document.
    """
    return page_file("page.html").decode().replace("{assets}", assets).replace("<!-- head -->", head).encode()
