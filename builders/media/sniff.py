"""Signatures: what a file is by its first bytes."""

from __future__ import annotations

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\0\0\0\x0cjP  ", "jp2"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75", "asf"),
    (b"\0\0\x01\xba", "mpeg"),
    (b"version https://git-lfs", "lfs"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"%PDF", "pdf"),
)
_RIFF = {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}
PICTURES = frozenset({"jpeg", "png", "gif", "bmp", "tiff", "jp2", "webp", "avif"})
SOUNDS = frozenset({"wav", "flac", "mp3"})
STAND_INS = {"lfs": "a Git LFS pointer", "html": "a web page", "json": "a JSON text", "xml": "an XML text"}


def sniffed(head: bytes) -> str:
    """What a file is by its first bytes; empty where they are unknown.  64 are enough."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return "avif" if head[8:12] in (b"avif", b"avis") else "m4a" if head[8:12] == b"M4A " else "mp4"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:  # layer III; layer 0 would be AAC in ADTS
        return "mp3"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "html"
    if text.startswith(b"<?xml"):
        return "xml"
    return "json" if text.startswith((b'{"', b"[{")) else ""
