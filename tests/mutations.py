"""Deliberate faults, one at a time in a copy of the project; the tests of `make test` must catch each of them.

    python -m tests.mutations [name …] [--without test …]

Uses the OpenSearch of TALLY_TEST_OPENSEARCH_URL, else one embedded node for all runs. Without a fault the copy must
pass the same tests, or nothing would be proved (`--without` leaves out tests that are known to fail); a fault whose
text is no longer in its file stops the run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.cli.embedded import EmbeddedNode, default_cache, ensure_home

ROOT: Final = Path(__file__).parents[1]
UNCOPIED: Final = (".venv", ".git", ".data", "__pycache__", ".*_cache", ".hypothesis", "dist")
SLOW: Final = "tests/properties/flights.py"
STAGES: Final = (
    ("tests/unit", "tests/golden"),
    ("tests/properties/test_aggregate.py", "tests/integration"),
    (SLOW,),
)
"""What `make test` has, the quickest first. The oracle's peers and the command line know nothing of these faults."""

TIMEOUT: Final = 900


@dataclass(frozen=True)
class Fault:
    """One wrong line."""

    name: str
    file: str
    old: str
    new: str
    test: str = ""
    """The test that was written because of it, and alone has to catch it."""


FAULTS: Final = (
    Fault(
        "objects without the key lost (missing_bucket)",
        "service/planning/columns.py",
        '{"terms": {"field": physical, "missing_bucket": True}}',
        '{"terms": {"field": physical, "missing_bucket": False}}',
    ),
    Fault(
        "only the first page of groups read",
        "service/planning/strategies/base.py",
        "        if after is None or (len(page.buckets) < size and not grouping.selectors):\n            return",
        "        return",
    ),
    Fault(
        "having gt is gte, in the service",
        "service/planning/rows.py",
        '"gt": operator.gt,',
        '"gt": operator.ge,',
    ),
    Fault(
        "having gt is gte, in OpenSearch",
        "service/planning/grouping.py",
        '"gt": ">",',
        '"gt": ">=",',
    ),
    Fault(
        "ties and unsorted groups left as they came",
        "service/planning/rows.py",
        "rows.sort(key=lambda row: tuple(map(order, row.cells)))",
        "pass",
    ),
    Fault(
        "weeks start on Mondays",
        "service/planning/columns.py",
        'back = truncate.week_start - 7 if unit == "week" and truncate.week_start else 0',
        "back = 0",
    ),
    Fault(
        "-0.0 kept apart from 0",
        "service/encoding.py",
        "                value = integer\n",
        "                pass\n",
    ),
    Fault(
        "null lost where it counts (add_to_set)",
        "service/planning/strategies/composite.py",
        'if metric.kind.distinguishes_null and "null" in of.traits:',
        "if False:",
    ),
    Fault(
        "dates compared as epoch milliseconds",
        "service/conditions/ordering.py",
        "{self.comparator: index_date(millis)}",
        "{self.comparator: millis}",
    ),
    Fault(
        "integers beyond 2^53 forgotten (long leaf)",
        "service/fields.py",
        'if leaf in ("double", "long"))',
        'if leaf in ("double",))',
    ),
    Fault(
        "avg divides by the documents",
        "service/aggregations/avg.py",
        'count = sum(answer["value"] for answer in raw[1::2])',
        "count = documents",
    ),
    Fault(
        "fields below an array taken for single values",
        "service/fields.py",
        '            known |= {"array"}\n',
        "            pass\n",
    ),
    Fault(
        "truncated dates written in UTC",
        "service/dialects/flat/render.py",
        "dates.render(value, zone)",
        'dates.render(value, "UTC")',
    ),
    Fault(
        "a null in an unwound array drops its row",
        "service/planning/unwind.py",
        "elif element is not None or isinstance(value, list):",
        "elif element is not None:",
    ),
    Fault(
        "a sample's variance divided by n",
        "service/aggregations/variance_samp.py",
        "freedom = 1",
        "freedom = 0",
    ),
    Fault(
        "$ne passes by what lacks the field",
        "service/conditions/equality.py",
        "        if value is MISSING:\n            return None in self._wanted",
        "        if value is MISSING:\n            return True",
    ),
    Fault(
        "sums of large integers believed",
        "service/aggregations/base.py",
        "return documents << field.bits <= SAFE_INTEGER",
        "return True",
    ),
    Fault(
        "each question to OpenSearch has a time of its own",
        "service/storage/gateway.py",
        "seconds = deadline.left(self.timeout)",
        "seconds = self.timeout",
    ),
)


RELAPSES: Final = (
    Fault(
        "a delete that OpenSearch refuses is a 204",
        "service/objects/use_cases.py",
        "if not item.done and item.outcome is not WriteOutcome.ABSENT:",
        "if False:",
        "tests/faults/test_acknowledged.py::test_a_blocked_index",
    ),
    Fault(
        "a delete by filter that OpenSearch refuses is completed",
        "service/objects/deletion.py",
        "failures = [item for item in items if not item.done and item.outcome not in LOST]",
        "failures: list[BulkItem] = []",
        "tests/faults/test_acknowledged.py::test_a_blocked_index",
    ),
    Fault(
        "whoever loses a rename frees the winner's name",
        "service/storage/operations.py",
        'if claim is None or claim.body["owner"] != entry.id:\n            return\n        (owner,) ='
        " await self._catalog.get(entry.id)\n        if not _holds(owner, name):",
        "if claim is None:\n            return\n        if True:",
        "tests/faults/test_acknowledged.py::test_the_same_rename_at_once",
    ),
    Fault(
        "a write that was sent again does not know itself",
        "service/storage/catalog.py",
        "if found is None or op not in found.ops:",
        "if True:",
        "tests/faults/test_acknowledged.py::test_a_name_with_lost_answers",
    ),
    Fault(
        "a stream whose deletion stopped half-way lives",
        "service/catalog/streams.py",
        'entry.kind != "stream" or not entry.live:',
        'entry.kind != "stream":',
        "tests/faults/test_acknowledged.py::test_a_stream_whose_deletion_stops",
    ),
    Fault(
        "an empty cluster is not set up again",
        "service/storage/documents.py",
        "            self._on_missing()\n",
        "",
        "tests/faults/test_wiped.py",
    ),
    Fault(
        "a closed index is an empty one",
        "service/storage/gateway.py",
        '{"expand_wildcards": "open,closed"}',
        '{"expand_wildcards": "open"}',
        "tests/faults/test_acknowledged.py::test_a_closed_index_of_records",
    ),
    Fault(
        "what was read before a restore counts after it",
        "service/storage/objects.py",
        "if known is not None and known.version != version:\n            self.forget",
        "if False:\n            self.forget",
        "tests/faults/test_restored.py",
    ),
    Fault(
        "an object whose fields the index lacks is refused for good",
        "service/storage/bulk.py",
        'case _, "strict_dynamic_mapping_exception":\n            return WriteOutcome.UNMAPPED',
        'case _, "strict_dynamic_mapping_exception":\n            return WriteOutcome.REJECTED',
        "tests/faults/test_restored.py::test_objects_with_fields_that_the_snapshot_lacks",
    ),
    Fault(
        "each machine has a time of its own",
        "service/clock.py",
        "return time.time() if _offset is None else time.monotonic() + _offset",
        "return time.time()",
        "tests/faults/test_clocks.py::test_one_time_for_both",
    ),
    Fault(
        "objects are written to the index that was the first",
        "service/storage/objects.py",
        "        alias = names.objects_alias(scope.namespace_id)\n        items = await bulk(",
        "        alias = names.first_objects_index(scope.namespace_id)\n        items = await bulk(",
        "tests/faults/test_acknowledged.py::test_an_index_behind_its_alias",
    ),
    Fault(
        "one customer's closed index stops the others' background work",
        "service/maintenance/caretaker.py",
        "except TallyError as error:\n"
        '                log.warning("background work failed, will be tried again", id=id, message=error.message)\n'
        "            except Exception:",
        "except ZeroDivisionError:",
        "tests/faults/test_caretaking.py",
    ),
    Fault(
        "a read does not wait for shards that start",
        "service/storage/gateway.py",
        "if shards_missing(error):",
        "if False:",
        "tests/faults/test_new_indices.py",
    ),
    # The last one: its test ends with the disk still full.
    Fault(
        "a full disk is a block like others",
        "service/storage/failures.py",
        "_FULL: Final = {12: FLOOD_STAGE, 10: _NO_NEW_INDEX}",
        "_FULL: Final[dict[int, str]] = {}",
        "tests/faults/test_failing_honestly.py::test_a_full_disk_is_a_507_with_its_cause",
    ),
)
"""What befell acknowledged writes once, a line of each kind (docs/quality.md)."""


def copy(to: Path) -> None:
    """The project as it is now, without what can be made again."""
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*UNCOPIED))


def place(fault: Fault, tree: Path) -> str:
    """Puts the fault in; gives the file's text without it. Ends the program when there is no such place."""
    file = tree / fault.file
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if text.count(fault.old) != 1:
        sys.exit(f"{fault.name}: found {text.count(fault.old)} times in {fault.file}, should be once:\n{fault.old}")
    mutated = text.replace(fault.old, fault.new)
    compile(mutated, fault.file, "exec")
    file.write_text(mutated, encoding="utf-8")
    return text


def failing(tree: Path, url: str, without: Sequence[str], stages: Sequence[Sequence[str]] = STAGES) -> str | None:
    """The first test that fails, None if all pass."""
    unwanted = [f"--deselect={test}" for test in without]
    environment = {
        **os.environ,
        "TALLY_TEST_OPENSEARCH_URL": url,
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for stage in stages:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-rfE", *unwanted, *stage]
        try:
            done = subprocess.run(
                command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            return f"no answer in {TIMEOUT} s: {stage[0]}"
        if done.returncode == 0:
            continue
        found = re.search(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
        if done.returncode != 1 or found is None:
            # A test that cannot even be read has not caught anything.
            sys.exit(f"pytest ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return found.group(1)
    return None


def confirmed(test: str, fault: Fault, tree: Path, url: str) -> bool:
    """Whether a test fails with the fault once more and passes without it, so that no overloaded node is a catch."""
    if failing(tree, url, (), [(test,)]) is not None:
        sys.exit(f"fails without the fault, too ({fault.name}): {test}")
    text = place(fault, tree)
    again = failing(tree, url, (), [(test,)])
    (tree / fault.file).write_text(text, encoding="utf-8")
    return again is not None


@contextmanager
def opensearch() -> Iterator[str]:
    """The node of TALLY_TEST_OPENSEARCH_URL, or one for all runs."""
    if given := os.environ.get("TALLY_TEST_OPENSEARCH_URL"):
        yield given
        return
    with EmbeddedNode(ensure_home(default_cache()), heap="1g") as node:
        yield node.url


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if a fault survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations")
    parser.add_argument("names", nargs="*", help="only the faults with these words in their names")
    parser.add_argument("--without", action="append", default=[], metavar="TEST", help="a test that is left out")
    options = parser.parse_args(arguments)
    names, without = options.names, options.without
    faults = [fault for fault in (*FAULTS, *RELAPSES) if not names or any(name in fault.name for name in names)]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="tally-mutations-") as folder, opensearch() as url:
        tree = Path(folder) / "tally"
        copy(tree)
        for fault in faults:
            # All of them first: a place that is gone is told at once.
            text = place(fault, tree)
            (tree / fault.file).write_text(text, encoding="utf-8")
        started = time.monotonic()
        stages = STAGES[:2] if any(not fault.test for fault in faults) else STAGES[:1]
        if (broken := failing(tree, url, without, stages)) is not None:
            sys.exit(f"fails without any fault: {broken}")
        print(f"without a fault: passes, {time.monotonic() - started:.0f} s\n", flush=True)
        print("| fault | file | caught by | seconds |\n|---|---|---|---|", flush=True)
        for fault in faults:
            text = place(fault, tree)
            started = time.monotonic()
            caught = failing(tree, url, without, [(fault.test,)] if fault.test else STAGES)
            (tree / fault.file).write_text(text, encoding="utf-8")
            if caught is not None and not caught.startswith(STAGES[0]) and not confirmed(caught, fault, tree, url):
                sys.exit(f"fails at times, so it catches nothing ({fault.name}): {caught}")
            seconds = time.monotonic() - started
            survivors += caught is None
            print(f"| {fault.name} | {fault.file} | {caught or 'NOTHING: IT SURVIVES'} | {seconds:.0f} |", flush=True)
    print(f"\n{len(faults)} faults, {survivors} survive")
    return 1 if survivors or not faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
