"""docs/reference.md says what the code says."""

from tests.support.reference import FILE, reference


def test_the_reference_is_written_from_the_code_as_it_is() -> None:
    assert FILE.read_text() == reference(), "run: python -m tests.support.reference"
