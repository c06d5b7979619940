"""Checks of settings beyond their types. Every check raises a `ValueError` that says what is valid."""

import re
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

KEY_LENGTH: Final = 16
"""Minimum characters of an API key: a shorter one can be guessed, and an empty one admits everybody."""


def api_key(key: str) -> str:
    """The key without the surrounding white space that files and editors add."""
    key = key.strip()
    if len(key) < KEY_LENGTH:
        raise ValueError(
            f"an API key has at least {KEY_LENGTH} characters, not {len(key)}; "
            "`openssl rand -hex 24` makes one, and without any `run` and `serve` make their own"
        )
    if not key.isprintable():
        raise ValueError("an API key is one line without control characters: no client can send others in a header")
    return key


def opensearch_urls(text: str) -> tuple[str, ...]:
    """The addresses of `http://a:9200,http://b:9200`; all belong to one cluster."""
    urls = tuple(re.sub(r"(?<=[^:/])/+$", "", part.strip()) for part in text.split(","))
    for url in urls:
        _check_url(url)
    if len({urlsplit(url).scheme for url in urls}) > 1:
        raise ValueError("all addresses have to be http, or all https")
    return urls


def _check_url(url: str) -> None:
    if not url:
        raise ValueError("an address is missing; send one like https://opensearch:9200, or several with commas between")
    shown = re.sub(r"//[^/@]*@", "//…@", url[:100])
    if not re.match(r"https?://", url, re.IGNORECASE):
        raise ValueError(f"an address begins with http:// or https://, and {shown!r} does not")
    if re.search(r"\s|[;|]", url) or url.count("://") > 1:
        raise ValueError(f"several addresses have commas between them, and {shown!r} has none")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{shown!r} is not an address: {error}") from None
    if not host or port == 0:
        raise ValueError(f"{shown!r} has no host" if not host else f"{shown!r} has the port 0")
    if parts.query or parts.fragment:
        raise ValueError(f"an address ends with its path, and {shown!r} has a query or a fragment")


def certificate_file(path: Path) -> Path:
    """A file with at least one certificate authority (PEM)."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the file with the certificate (PEM)")
    try:
        if ssl.create_default_context(cafile=path).cert_store_stats()["x509"]:
            return path
    except ssl.SSLError:
        pass
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    raise ValueError(f"{path} holds no certificate; a PEM file has lines of -----BEGIN CERTIFICATE-----")


def heap(text: str) -> str:
    """A memory size in Java's format."""
    if not re.fullmatch(r"[1-9][0-9]*[kmgKMG]", text):
        raise ValueError("an amount of memory is a number and a unit, like 512m or 2g")
    return text


def folder(path: Path) -> Path:
    """A folder that exists or can be created."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; name a folder")
    return path
