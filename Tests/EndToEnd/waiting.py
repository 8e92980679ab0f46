"""Waiting for conditions: every wait in these tests has one, and a deadline."""

import time


def wait_until(condition, what, within=10.0, every=0.005):
    """Returns the first true value of `condition()`; fails after `within` seconds, saying `what` did not happen."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(every)
