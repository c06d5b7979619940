"""Case-insensitive comparisons on the index.

A keyword field has the original strings; its `fold` companion has the folded form of those that differ from it.
Dates have no folded form in the index: it would only lower-case their `t` and `z`.
"""

from collections.abc import Callable

from service import dsl
from service.conditions.base import Clause, Query, any_of
from service.fields import Field
from service.values import case_fold

Make = Callable[[str], Query]
"""Maps an index field's name to a query on it."""


def any_case(field: Field, keyword: str, operand: str, query: Callable[[str, str], Query]) -> Clause | None:
    """A clause for the strings whose folded form fulfils `query(name, operand)`; None if there is none.

    `operand` is folded. The query must depend on parts of strings only: equality, prefixes, suffixes, substrings.
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
        # A string that differs from its folded form matches only by that form.
        unchanged = Clause(dsl.filtered(plain_of(plain), without=[dsl.exists(companion)]))
        return any_of([unchanged, folded])
    if "denormal" in field.traits or case_fold(operand) != operand:
        return None
    # A query that matches a string in NFC also matches its folded form.
    return any_of([*(Clause(each) for each in plain), folded])


def plain_of(queries: list[Query]) -> Query:
    return any_of([Clause(query) for query in queries]).query
