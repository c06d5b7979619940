"""Regular expressions: checking, searching, and the translation to Lucene's dialect."""

import functools
import re

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from service.conditions import regex_parse
from service.conditions.regex import MAX_LUCENE, check, literal, lucene, search

# Planes 0 and 1, and the ends of the others.
ALL = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x20001), 0x10FFFF])).encode()


@functools.cache
def as_python(lucene_pattern: str) -> re.Pattern[str]:
    """What `lucene` prints, read by Python's `re`; what Lucene itself reads, the integration test shows."""
    return re.compile(lucene_pattern, re.DOTALL)


def matches(lucene_pattern: str, text: str) -> bool:
    return as_python(lucene_pattern).fullmatch(text) is not None


def members(ranges: regex_parse.Ranges, last: int = 0x10FFFF) -> str:
    return "".join(chr(c) for low, high in ranges for c in range(low, min(high, last) + 1))


# check and search


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("x(?=a)", ["look-around", "character 2", "two conditions"]),
        ("x(?!a)", ["look-around", "character 2"]),
        ("(?<=a)b", ["look-around", "character 1"]),
        ("(?<!a)b", ["look-around"]),
        (r"(a)\1", ["back-reference", "character 4"]),
        (r"(?P<a>b)(?P=a)", ["back-reference"]),
        (r"(?<a>b)\k<a>", ["back-reference"]),
        ("(?>a)", ["(?:…)"]),
        ("(a", ["missing )", "close the group"]),
        ("a)", ["unexpected )"]),
        ("[a", ["missing ]"]),
        ("a\\", ["trailing"]),
        ("*a", ["no argument"]),
        ("aé**", ["character 3", "group"]),
        ("a{2000}", ["repetition size", "1,000"]),
        ("[z-a]", ["range", "character 2"]),
        (r"a\Z", [r"\z"]),
        (r"x\y", ["escape", "character 2"]),
        (r"\pL{1000}", ["too large"]),
        ("a" * 1001, ["1,001", "1,000"]),
        ("a\ud800", ["surrogate", "character 2"]),
    ],
)
def test_refuses_with_what_where_and_the_way_out(pattern: str, parts: list[str]) -> None:
    for function in (check, search, lucene):
        with pytest.raises(ValueError) as raised:
            function(pattern)
        assert [part for part in parts if part not in str(raised.value)] == []


def test_refuses_unknown_flags() -> None:
    check("a", "ims")
    with pytest.raises(ValueError, match="'x'"):
        check("a", "ix")


def test_says_what_was_written_although_there_are_flags() -> None:
    with pytest.raises(ValueError, match="character 1"):
        check("(?=a)", "i")


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "expected"),
    [
        ("b", "", "abc", True),
        ("^b", "", "abc", False),
        ("^b", "m", "a\nb", True),
        ("a$", "", "a\n", False),
        ("a.b", "", "a\nb", False),
        ("a.b", "s", "a\nb", True),
        ("É", "i", "é", True),
        ("k", "i", "\u212a", True),
        ("", "", "", True),
        ("^.$", "", "😀", True),
        (r"\bfoo\b", "", "a foo b", True),
        ("x$", "", "\ud800x", True),
        ("a|b", "i", "B", True),
    ],
)
def test_search(pattern: str, flags: str, text: str, expected: bool) -> None:
    assert search(pattern, flags)(text) is expected


# Translation


@pytest.mark.parametrize(
    ("pattern", "flags", "expected"),
    [
        ("", "", ".*"),
        ("^", "", ".*"),
        ("$", "", ".*"),
        ("^$", "", "()"),
        (r"\A\z", "", "()"),
        ("abc", "", ".*abc.*"),
        ("^abc", "", "abc.*"),
        ("abc$", "", ".*abc"),
        ("^abc$", "", "abc"),
        ("^a|b$", "", "a.*|.*b"),
        ("^(a|b)$", "", "a|b"),
        ("^(?:a|b)c$", "", "(a|b)c"),
        ("^(a|)$", "", "a?"),
        ("^(|a)b$", "", "a?b"),
        ("^(a*|)$", "", "a*"),
        ("(^|,)a(,|$)", "", r"a\,.*|a|.*\,a\,.*|.*\,a"),
        ("(?:^a)?b", "", "ab.*|.*b.*"),
        ("^^a$$", "", "a"),
        ("a*^b", "", "b.*"),
        ("a|^b^c", "", ".*a.*"),
        (".*foo.*", "", ".*foo.*"),
        ("a+", "", ".*a.*"),
        ("^a+?b*?$", "", "a+b*"),
        ("^a{2}b{2,}c{2,3}d{0,1}e{1}f{0}$", "", "a{2}b{2,}c{2,3}d?e"),
        ("^a{,3}{b{01}$", "", r"a\{\,3\}\{b\{01\}"),
        ("^a.$", "", "a[^\\\n]"),
        ("^a.$", "s", "a."),
        ("^(?s:a.)(?-s).$", "", "a.[^\\\n]"),
        (r"^\d\D$", "", "[0-9][^0-9]"),
        (r"^\w\W\s$", "", "[0-9A-Z\\_a-z][^0-9A-Z\\_a-z][\\\t\\\n\\\x0c\\\r\\ ]"),
        (r"^[\d.-]$", "", r"[\-\.0-9]"),
        (r"^[^\d\D]?a$", "", None),
        (r"^[]a][^]a]$", "", r"[\]a][^\]a]"),
        (r"^[a-]$", "", r"[\-a]"),
        (r"^[[:digit:][:^ascii:]]$", "", "[^\x00-\\/:-\\\x7f]"),
        (r"^[\[-a\--/][%-(]$", "", r"[\-\.\/\[\\\]\^_-a][%-\(]"),
        (r"^\n\t\x41\x{1F600}\101\0$", "", "\\\n\\\tA😀A\\\x00"),
        (r"^\Qa.b*\E*$", "", r"a\.b\**"),
        (r"^\Qa\b", "", r"a\\b.*"),
        (r'^a"b@c#d&e<1-2>~f\^\$$', "", r"a\"b\@c\#d\&e\<1\-2\>\~f\^\$"),
        ("^(?P<n>a)(?<m>b)$", "", "ab"),
        ("^(?U)a+$", "", "a+"),
        ("^ask1$", "i", "[Aa][Ss\u017f][Kk\u212a]1"),
        ("^a(?i)b|c$", "", "a[Bb].*|.*[Cc]"),
        ("^a(?i:b)(c(?i)d)e$", "", "a[Bb]c[Dd]e"),
        ("^[^k]$", "i", "[^Kk\u212a]"),
        ("^été$", "i", "[Éé][Tt][Éé]"),
        ("^[x日]$", "i", "[Xx日]"),
        ("^日𠀋$", "i", "日𠀋"),
        # None: word boundaries, lines, odd anchors, Unicode classes, bytes, nothing at all
        (r"\bfoo", "", None),
        (r"fo\Bo", "", None),
        ("^a", "m", None),
        ("(?m)a$", "", None),
        ("a^b", "", None),
        ("a$b", "", None),
        ("(^a)*", "", None),
        (r"\pL", "", None),
        (r"[\p{Greek}]", "", None),
        (r"\C", "", None),
        (r"\x{D800}", "", None),
        (r"a(?i)*", "", None),
        (r"a\Q\E*", "", None),
        # but these are fine in multi-line mode
        (r"\Aa\z", "m", "a"),
        (r"(?m:a)$", "", ".*a"),
    ],
)
def test_translation(pattern: str, flags: str, expected: str | None) -> None:
    assert lucene(pattern, flags) == expected


def test_too_long_or_too_complex_is_not_translated() -> None:
    assert lucene("^" + "é" * MAX_LUCENE + "$") == "é" * MAX_LUCENE
    assert lucene("^" + "é" * (MAX_LUCENE + 1) + "$") is None
    assert lucene("a.{5}b") is not None
    assert lucene("a.{20}b") is None
    assert lucene("^[^@]{1,64}@[^@]{1,64}$") is not None
    assert lucene("^.{1,64}@.{1,64}$") is None  # which of the @ is meant?
    assert lucene("(" * 500 + ")" * 500) is None


@given(st.text())
def test_literal(text: str) -> None:
    assert matches(literal(text), text)
    assert not matches(literal(text), text + "x")
    assert not re.search(r"\\[A-Za-z0-9]", literal(text).replace(r"\\", ""))


# The sets of characters, against RE2 itself


def re2_members(pattern: str, text: bytes = ALL) -> str:
    options = re2.Options()
    options.max_mem = 64 << 20
    runs = re2.compile(f"(?:{pattern})+".encode(), options).findall(text)
    return b"".join(runs).decode()


CLASSES = [r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", ".", "[^a]", r"[^\s\w]", r"[\W_]", r"[^\Wk]", "[À-ɏ]"]
CLASSES += [f"[[:{name}:]]" for name in regex_parse._POSIX]
CLASSES += [f"[[:^{name}:]x]" for name in regex_parse._POSIX]


@pytest.mark.parametrize("flags", ["", "i"])
def test_classes_are_those_of_re2(flags: str) -> None:
    for pattern in CLASSES:
        node = regex_parse.parse(pattern, flags)
        assert isinstance(node, regex_parse.Chars)
        expected = re2_members(f"(?{flags}){pattern}" if flags else pattern)
        top = "\U0010ffff" if node.ranges[-1][1] == 0x10FFFF else ""
        assert members(node.ranges, last=0x20000) + top == expected, pattern


def test_folding_is_that_of_re2() -> None:
    """For every code point below U+20000: what `(?i)` lets a literal match."""
    text = members(regex_parse.merged([(0, 0x1FFFF)]))
    encoded = text.encode()
    # The others are checked together: RE2 may know pairs that this Python does not, but not the reverse.
    cased = {c for c in text if len({c, c.lower(), c.upper(), c.title(), c.casefold()}) > 1}
    assert len(cased) > 2_700
    for char in sorted(cased):
        expected = re2_members(f"(?i){re2.escape(char)}", encoded)
        assert members(regex_parse.folded(((ord(char), ord(char)),))) == expected, hex(ord(char))
    rest = regex_parse.merged((ord(c), ord(c)) for c in text if c not in cased)
    spelled = "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in rest)
    assert members(regex_parse.folded(rest)) == re2_members(f"(?i)[{spelled}]", encoded)


def test_what_is_held_to_be_uncased_is_uncased_for_re2() -> None:
    cased = regex_parse.complement(regex_parse.UNCASED)
    outside = members(cased)
    for low, high in regex_parse.UNCASED:
        inside = members(regex_parse.merged([(low, high)]))
        assert not re2.search(rf"(?i)[\x{{{low:x}}}-\x{{{high:x}}}]", outside)
        assert not re2.search(r"[\p{Lu}\p{Ll}\p{Lt}\p{Nl}\p{So}]", inside)


def test_ascii_literals_need_not_ask_re2() -> None:
    for code in range(0x80):
        found = members(regex_parse.folded(((code, code),)))
        assert found == re2_members(f"(?i){re2.escape(chr(code))}")


# Generated patterns

ATOMS = (
    *"abkKsSéÉßσςΣ日😀-_ ,1",
    *(
        ".",
        r"\.",
        r"\d",
        r"\w",
        r"\W",
        r"\s",
        r"\S",
        r"\n",
        r"\t",
        r"\x41",
        r"\x{e9}",
        r"\-",
        r"\"",
        r"\Qa.\E",
    ),
    *(
        "[ab]",
        "[^a]",
        "[a-z]",
        "[^a-z0-9]",
        r"[\d_]",
        r"[^\w]",
        "[[:upper:]]",
        "[]-]",
        "[Α-Ω]",
        '"',
        "#",
        "@",
        "&",
    ),
    *("<", "~", "^", "$", r"\A", r"\z", "(?i)", "{", "}", "]"),
)
QUANTIFIERS = ("", "", "", "?", "*", "+", "*?", "{2}", "{0}", "{1,2}", "{2,}", "{,2}")
GROUPS = ("({})", "(?:{})", "(?i:{})", "(?P<n>{})", "({}|)", "(|{})")


def _extended(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        st.builds(str.format, st.sampled_from(GROUPS), inner),
        st.builds("{}{}".format, st.builds("(?:{})".format, inner), st.sampled_from(QUANTIFIERS)),
    )


PATTERNS = st.recursive(st.builds("{}{}".format, st.sampled_from(ATOMS), st.sampled_from(QUANTIFIERS)), _extended)
TEXTS = st.text(st.sampled_from('abkKsSſ\u212aéÉßẞσςΣ日😀-_ ,.1\n\t\r\x00\\"#@&<~^${}]A'), max_size=7)


@settings(max_examples=600, deadline=None)
@given(PATTERNS, st.sampled_from(["", "i", "s", "is", "m"]), st.lists(TEXTS, min_size=3, max_size=12))
def test_the_translation_matches_what_search_matches(pattern: str, flags: str, texts: list[str]) -> None:
    try:
        found = search(pattern, flags)
    except ValueError:
        return
    translated = lucene(pattern, flags)
    if translated is None:
        return
    for text in texts:
        assert matches(translated, text) == found(text), (pattern, flags, translated, text)
