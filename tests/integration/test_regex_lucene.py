"""The translation of regular expressions, on a real node: the same values as RE2 finds, for every pattern."""

import json
import random
import time
from collections.abc import Sequence
from typing import Any
from urllib.request import Request, urlopen

from service.conditions.regex import lucene, search

INDEX = "regex-lucene-test"
SPECIAL = ".?+*|()[]{}\"\\#@&<>~^-$/,:;=!%'`_ "
LETTERS = "abkKsSzZ\u017f\u212aéÉßẞσςΣдД日本\u0301ﬀĳ😀\U00010400\U00010428\U00020000\uffff\ue000\ud7ff"
CONTROLS = "\x00\x01\t\n\x0b\x0c\r\x1f\x7f\x85\xa0\u2028"

# fmt: off
ATOMS: tuple[str, ...] = (
    *"aabkKsSzéÉßσςΣд日😀0123456789-_ ,:/=!%'",
    ".", ".", r"\.", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", r"\n", r"\t", r"\x00", r"\x{e9}", r"\x{10400}",
    *(rf"\{c}" for c in SPECIAL),
    "[ab]", "[^a]", "[a-z]", "[^a-z0-9]", r"[\d_]", r"[^\w]", "[[:upper:]]", "[[:^punct:]]", "[]^-]",
    r"[\[-\]]", "[σ-ω]", "[^é]", "[😀日]", '["#@&<>~]', r"[^\x00-\x7f]", r"\Qa.b\E", '"', "#", "@", "&",
    "<", ">", "~", "]",
)
QUANTIFIERS = ("", "", "", "", "", "?", "*", "+", "*?", "+?", "{2}", "{1,2}", "{2,}", "{0,3}")
WRITTEN = (
    "", "^", "$", "^$", "^a", "a$", "^a$", "^a|b$", "^(a|b)$", "a|", "^(|a)$", "^(a|)*$", "(^|,)a(,|$)",
    "(?:^a)?b", "(?s).", "^.$", "(?s)^.$", "^.*$", "(?s)^.*$", "^[^a]*$", r"^\W+$", r"^\w+$", r"^\D*$",
    r"^\s", r"\S$", "(?i)^ask", "(?i)^été$", "(?i)s", "(?i)k", "(?i)ß", "(?i)[^k]", "(?i)^[^s]$",
    r"(?i)^\w$", r"(?i)^\W$",
    "(?i)σ", "(?i)\U00010400", r"\x00", r"^[\x00-\x1f]", r"[\x{10000}-\x{10FFFF}]", r"[^\x00-\x{ffff}]",
    r"[\x{d000}-\x{f000}]", "a.b", "a.{3}b", "^a{2,3}$", "^(ab){2}$", "^(a{2}){2}$", "a{,2}", "a{", "^<1-9>$",
    '^"a"$', "^#$", "^@$", "^~a$", "^a&b$", r"^\\d$", r"^\Q\d\E$", "^[\\\\]d$", "[a-c]{5}", "(a|b)*ab{2}",
    "^.{1,5}$", "^.{0,200}$", "^x{500}$", "(?:(?:a|é)?b?){4}", "a.{7}b", "^(a|b|c|d){0,200}$", "a{60}",
    ".{60}", "^[^@]{1,64}@[^@]{1,64}$", "^(.*a){3}$", "日|é|😀", "^(?:[a-z]+,)*[a-z]+$",
    r"^[\w.+-]+@[\w-]+\.[\w.-]+$", r"^\d{4}-\d{2}-\d{2}", r"^\/api\/v\d+", r"\.(jpe?g|png)$",
    r"(?i)\.(JPE?G|png)$", "(((a)|b)|(c|(d))){2}",
    "(a*)*b", "(a*)+$", "^(a?){5}$", "^((a|b?)+c*)*$", r"\bfoo\b", "(?m)^a", "a^b", r"\pL",
)
TEXTS = (
    "", " ", "a\n", "\na", "a\nb", "foo bar", "x" * 500, "a" * 100, "a" * 60, "e\u0301te\u0301",
    "a\u017f\u212a", "ask", "ASK", "été", "ÉTÉ", "Straße", "STRASSE", "ab", "aab", "abab", "a,b", ",a,",
    "b,a", "x,a,y", "a.b", "a\\d", "\\d", "<1-9>", "5", "me@example.org", "/api/v2/x",
    "2024-02-30T", "image.JPG", "image.png",
    "日本語", "a.b*", "^a$", '"a"', "~a", "a&b", "a{,2}",
)
# fmt: on


def values() -> list[str]:
    """About 400 texts: each interesting character alone, in company, and random mixtures."""
    chooser = random.Random(17)
    singles = [*map(chr, range(0x80)), *LETTERS, *CONTROLS]
    alphabets = ["ab", "ab,", "abc\n", LETTERS, SPECIAL + "a", LETTERS + SPECIAL + CONTROLS + "01aab"]
    mixed = ("".join(chooser.choices(chooser.choice(alphabets), k=chooser.randint(2, 9))) for _ in range(200))
    return list(dict.fromkeys([*singles, *TEXTS, *mixed]))


def generated(chooser: random.Random, depth: int = 3) -> str:
    """A random pattern."""
    kind = chooser.random()
    if depth == 0 or kind < 0.3:
        return chooser.choice(ATOMS) + chooser.choice(QUANTIFIERS)
    if kind < 0.75:
        return "".join(generated(chooser, depth - 1) for _ in range(chooser.randint(1, 3)))
    if kind < 0.88:
        form = chooser.choice(["({})", "(?:{})", "(?i:{})", "({}|)", "(?s:{})", "(^|{})", "({}|$)"])
        return str(form.format(generated(chooser, depth - 1))) + chooser.choice(QUANTIFIERS)
    return "(?:" + "|".join(generated(chooser, depth - 1) for _ in range(chooser.randint(2, 3))) + ")"


def patterns() -> list[tuple[str, str]]:
    """Several hundred patterns that RE2 accepts, with flags."""
    chooser = random.Random(4)
    found = [(pattern, "") for pattern in WRITTEN]
    while len(found) < 700:
        pattern = chooser.choice(["", "", "^"]) + generated(chooser) + chooser.choice(["", "", "$"])
        flags = chooser.choice(["", "", "", "i", "s", "is"])
        try:
            search(pattern, flags)
        except ValueError:
            continue
        found.append((pattern, flags))
    return found


def call(url: str, method: str, path: str, body: Any = None, lines: Sequence[Any] = ()) -> dict[str, Any]:
    data = "".join(json.dumps(line) + "\n" for line in lines) if lines else json.dumps(body) if body else ""
    kind = "application/x-ndjson" if lines else "application/json"
    request = Request(f"{url}{path}", data.encode() or None, {"Content-Type": kind}, method=method)
    with urlopen(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def answers(url: str, regexps: Sequence[str]) -> list[dict[str, Any]]:
    lines: list[Any] = []
    for regexp in regexps:
        query = {"regexp": {"text": {"value": regexp, "flags": "NONE"}}}
        lines += [{}, {"size": 1_000, "_source": False, "query": query}]
    responses: list[dict[str, Any]] = call(url, "POST", f"/{INDEX}/_msearch", lines=lines)["responses"]
    return responses


def test_a_real_node_finds_what_re2_finds(opensearch_url: str) -> None:
    started = time.monotonic()
    texts = values()
    mapping = {"properties": {"text": {"type": "keyword"}}}
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    call(opensearch_url, "PUT", f"/{INDEX}", {"settings": settings, "mappings": mapping})
    try:
        lines: list[Any] = []
        for number, text in enumerate(texts):
            lines += [{"index": {"_id": str(number)}}, {"text": text}]
        assert not call(opensearch_url, "POST", f"/{INDEX}/_bulk?refresh=true", lines=lines)["errors"]

        cases = patterns()
        translated = [(*case, regexp) for case in cases if (regexp := lucene(*case)) is not None]
        regexps = [regexp for _, _, regexp in translated]
        found = [a for i in range(0, len(regexps), 100) for a in answers(opensearch_url, regexps[i : i + 100])]
    finally:
        call(opensearch_url, "DELETE", f"/{INDEX}")
    share = len(translated) / len(cases)
    seconds = time.monotonic() - started
    counts = f"{len(translated)} of {len(cases)} patterns translated ({share:.0%})"
    print(f"{counts}, {len(texts)} values, {seconds:.1f} s")
    wrong = []
    for (pattern, flags, regexp), answer in zip(translated, found, strict=True):
        matches = search(pattern, flags)
        expected = {text for text in texts if matches(text)}
        if "error" in answer:
            wrong.append((pattern, flags, regexp, answer["error"]))
        elif difference := {texts[int(hit["_id"])] for hit in answer["hits"]["hits"]} ^ expected:
            wrong.append((pattern, flags, regexp, sorted(difference)[:5]))
    assert wrong == []
    assert share > 0.6, counts
