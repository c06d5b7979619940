"""Compressed bodies and files that are the same each time, so that tests named after them are, too."""

import gzip


def compressed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
