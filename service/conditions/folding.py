"""Comparisons in which case does not count, asked of the index.

A keyword field has the strings as they are; its `fold` companion has the folded form of those that differ from it.
Strings that are dates have no folded form in the index: it would be their small `t` and `z`, nothing else.
"""

from collections.abc import Callable

from service import dsl
from service.conditions.base import Clause, Query, any_of
from service.fields import Field
from service.values import case_fold

Make = Callable[[str], Query]
"""From an index field's name to a query on it."""


def any_case(field: Field, keyword: str, operand: str, query: Callable[[str, str], Query]) -> Clause | None:
    """`query(name, operand)`, put so that it finds the strings whose folded form it holds for; None if it cannot be.

    `operand` is folded. It must hold of parts of strings alone: equality, beginnings, endings, substrings.
    """
    if not field.folds:
        return None
    plain = [query(keyword, operand)]
    if "date" in field.traits and operand.isascii() and operand.upper() != operand:
        plain.append(query(keyword, operand.upper()))
    if "cased" not in field.traits:
        return any_of([Clause(each) for each in plain])
    companion = field.leaf("fold")
    folded = Clause(query(companion, operand))
    if "array" not in field.traits:
        # A string that differs from its folded form counts by that form alone.
        unchanged = Clause(dsl.filtered(plain_of(plain), without=[dsl.exists(companion)]))
        return any_of([unchanged, folded])
    if "denormal" in field.traits or case_fold(operand) != operand:
        return None
    # What holds of a string in NFC holds of its folded form, too.
    return any_of([*(Clause(each) for each in plain), folded])


def plain_of(queries: list[Query]) -> Query:
    return any_of([Clause(query) for query in queries]).query
