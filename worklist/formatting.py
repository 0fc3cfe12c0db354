"""Text of the network made fit for a screen: times, ages and what a scanner wrote."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from schema.letters import JOINERS

MINUTE, HOUR, DAY = 60, 3600, 86400
DETAIL = re.compile(
    r"\b(SOP instance|series|study)?\s*'?[0-9]+(\.[0-9]+){4,}'?:?"  # a UID with what it names
    r"|\(?\b\d[\d,]* (bytes|B)\b\)?"
    r"|,? ?\b(any )?(probability|score) [0-9.]+( \(review at [0-9.]+ or more\))?"
)
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str | None) -> str:
    """Replace control and direction characters: a terminal or a browser would obey them."""
    return "".join(
        sign if sign.isprintable() or sign in JOINERS else REPLACEMENT for sign in text or ""
    )


def person_name(name: str) -> str:
    """Write a PN (PS3.5 section 6.2) as a person reads it: DOE^JANE becomes DOE, JANE.

    Of the ways in which it is written (letters, ideographs, sounds) the first that is not empty.
    """
    written = next((group for group in name.split("=") if group.strip("^ ")), "")
    family, _, rest = written.partition("^")
    given = " ".join(rest.replace("^", " ").split())
    return ", ".join(part for part in (printable(family).strip(), printable(given)) if part)


def calendar_date(date: str) -> str:
    """Write a DA (PS3.5 section 6.2) with dashes; leave anything else as it came."""
    if len(date) == 8 and date.isascii() and date.isdigit():
        return f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return printable(date)


def clock(moment: datetime | None, zone: tzinfo = UTC) -> str:
    """Write a point in time to the second, with its zone."""
    return "" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def short_clock(moment: datetime | None, zone: tzinfo = UTC) -> str:
    """Write a point in time to the minute, without year and zone, for a row of many."""
    return "" if moment is None else moment.astimezone(zone).strftime("%d %b %H:%M")


def clock_time(time: str) -> str:
    """Write a TM (PS3.5 section 6.2) to the minute; leave anything else as it came."""
    if len(time) >= 4 and time[:4].isascii() and time[:4].isdigit():
        return f"{time[:2]}:{time[2:4]}"
    return printable(time)


def without_details(reason: str | None) -> str:
    """Take UIDs, sizes in bytes and scores out of a reason; the details have them."""
    return " ".join(DETAIL.sub("", printable(reason)).split()).strip(" ,;:")


def without_repeats(lines: Iterable[str]) -> list[str]:
    """Drop empty lines, and each that another one says too, alone or among more."""
    kept: list[str] = []
    for line in filter(None, lines):
        if not any(line.lower() in other.lower() for other in kept):
            kept = [other for other in kept if other.lower() not in line.lower()]
            kept.append(line)
    return kept


def duration(seconds: float) -> str:
    """Write seconds as a person would say them; never negative, clocks differ a little."""
    whole_s = max(0, int(seconds))
    if whole_s < MINUTE:
        return f"{whole_s} s"
    if whole_s < HOUR:
        return f"{whole_s // MINUTE} min"
    if whole_s < DAY:
        return f"{whole_s // HOUR} h {whole_s % HOUR // MINUTE:02} min"
    return f"{whole_s // DAY} d {whole_s % DAY // HOUR} h"


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Write nested values as names with dots, numbers to four digits."""
    for name, value in values.items():
        path = f"{prefix}{printable(str(name))}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{path}.")
        else:
            yield path, _value(value)


def _value(value: Any) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, list | tuple):
        return "; ".join(printable(str(item)) for item in value) or "none"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def iso(moment: datetime) -> str:
    """Write a point in time as ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
