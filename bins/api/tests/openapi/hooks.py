"""What every call of the test has beside what schemathesis makes up."""

import itertools

import schemathesis

CALLS = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    """From an address of its own, because failures to authenticate are limited by address."""
    number = next(CALLS)
    case.headers["x-forwarded-for"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    for place in (case.query, case.body):
        shorten_wait(place)


def shorten_wait(place):
    """A long wait is accepted like a short one, and takes a minute."""
    if isinstance(place, dict) and str(place.get("wait")).isdecimal() and 1 < int(place["wait"]) <= 60:
        place["wait"] = 1
