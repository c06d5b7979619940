"""The deliberate faults still fit the code that they spoil."""

import pytest

from tests.mutations import FAULTS, RELAPSES, ROOT, Fault


@pytest.mark.parametrize("fault", [*FAULTS, *RELAPSES], ids=lambda fault: fault.name)
def test_the_text_of_a_fault_stands_once_in_its_file(fault: Fault) -> None:
    text = (ROOT / fault.file).read_text(encoding="utf-8")
    assert text.count(fault.old) == 1
    compile(text.replace(fault.old, fault.new), fault.file, "exec")
