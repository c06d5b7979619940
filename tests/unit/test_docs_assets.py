"""The page's vendored files are what was published, and nothing on the page comes from elsewhere."""

import hashlib
import re
from pathlib import Path

from service.web import docs

HOME = Path(docs.__file__).parent / "assets"
OURS = {"README.md", "index.html", "docs.js", "tally.svg"}


def test_vendored_files_are_unchanged() -> None:
    told = dict(re.findall(r"\| `([^`]+)` \| `([0-9a-f]{64})` \|", (HOME / "README.md").read_text()))
    assert {path.name for path in HOME.iterdir()} == OURS | told.keys()
    for name, wanted in told.items():
        assert hashlib.sha256((HOME / name).read_bytes()).hexdigest() == wanted, name


def test_the_page_names_no_other_place() -> None:
    page = (HOME / "index.html").read_text() + (HOME / "docs.js").read_text()
    assert "//" not in re.sub(r"^//.*$", "", page, flags=re.MULTILINE)
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == re.findall(r'="((?:/docs/assets/|/openapi)[^"]*)"', page)
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page)
    style = (HOME / "swagger-ui.css").read_text()
    assert "@import" not in style
    assert "@font-face" not in style
    assert not re.search(r"url\(\"?(?!\"?data:)", style)
