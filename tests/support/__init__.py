"""Helpers of the tests: the independent oracle and the generators that feed it."""
