"""The short form, which `make test` has, is the worst faults alone."""

from tests.chaos.faults import short_form

collect_ignore = ["test_replicas.py", "test_sync.py"] if short_form() else []
