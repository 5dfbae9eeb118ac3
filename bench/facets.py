"""Times every list and its facets beside the same counts by SQL and by plain Python, in one run.

    python bench/facets.py                          1,000, 10,000 and 100,000 synthetic practices
    python bench/facets.py --sizes 1000 1000000     others

The view is filled from what lists remember of each record, as at a start; no ledger, graph or model takes part, so that
what is timed is a list and nothing else. SQL is SQLite with a table for each facet and its indexes; Python looks at every
practice. All three give the same counts, or the run stops. Times are medians, in milliseconds; nothing in the data is true.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from bench import synthetic
from kg.facets import UNKNOWN, decade, size_band
from kg.fields import declaration
from kg.list_facts import facets_of, facts_of
from kg.lists import Asked, ListView, Profiled
from ontology import path

FACETS = facets_of(declaration().kind("practice"))
CHOICES: Mapping[str, Mapping[str, Collection[str]]] = {
    "none chosen": {},
    "a country": {"country": ["LV"]},
    "a theme and two sizes": {"theme": ["language"], "size": ["small", "medium"]},
    "something in every facet": {
        **{"country": ["LV", "BE", "FR"], "theme": ["housing", "language"], "evidence": ["outcome-counts"]},
        **{"decade": ["2000", "2010"], "language": ["en", "fr"], "size": ["small", "large"]},
    },
}


def filled(size: int) -> tuple[ListView, list[dict[str, set[str]]], float, float]:
    """A view of so many practices, every practice's values, seconds until it first answered, and its megabytes."""
    view = ListView(None, "https://example.org/", read=lambda revision: {})
    broader = shipped_themes()
    cities = {one["id"]: facts_of(declaration().kind("city"), one) for one in synthetic.cities(max(1, size // 20))}
    kind, known = declaration().kind("practice"), []
    rows: list[tuple[str, str, int, str]] = [("city", id, 1, json.dumps(facts)) for id, facts in cities.items()]
    rows += [
        ("theme", id, 1, json.dumps({"label": {"en": id}, "broader": b} if b else {})) for id, b in broader.items()
    ]
    named = []
    for record in synthetic.practices(size, max(1, size // 20)):
        facts = facts_of(kind, record)
        rows.append(("practice", record["id"], 1, json.dumps(facts)))
        named.append((record["city"], "practice", record["id"]))
        known.append(values_of(facts, cities[record["city"]], broader))
    view._db.execute("BEGIN")
    view._db.executemany("INSERT INTO held VALUES (?, ?, ?, ?)", rows)
    view._db.executemany("INSERT INTO named VALUES (?, ?, ?)", named)
    view._db.execute("COMMIT")
    begun = time.perf_counter()
    view.ask("practice", Asked())
    seconds = time.perf_counter() - begun
    view._tables = None
    tracemalloc.start()
    view.ask("practice", Asked())
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    return view, known, seconds, megabytes


def shipped_themes() -> dict[str, str]:
    """The shipped themes, each with the one right above it, or an empty text."""
    from rdflib import SKOS, Graph

    graph = Graph().parse(path("themes.ttl"), format="turtle")
    above = {
        str(theme).rpartition("/")[2]: str(up).rpartition("/")[2] for theme, up in graph.subject_objects(SKOS.broader)
    }
    return {theme: above.get(theme, "") for theme in synthetic.themes()}


def values_of(facts: Mapping[str, Any], city: Mapping[str, Any], broader: Mapping[str, str]) -> dict[str, set[str]]:
    """One practice's values by facet, worked out without the view."""
    themes: set[str] = set()
    for theme in facts["themes"]:
        while theme and theme not in themes:
            themes.add(theme)
            theme = broader.get(theme, "")
    return {
        "country": {city["country"]},
        "theme": themes,
        "evidence": {facts["evidence"]},
        "decade": {decade(facts["year"]) or UNKNOWN},
        "language": set(facts["languages"]),
        "size": {size_band(city["population"]) or UNKNOWN},
    }


def in_python(known: list[dict[str, set[str]]], chosen: Mapping[str, Collection[str]]) -> dict[str, dict[str, int]]:
    """The same counts by looking at every practice."""
    sets = {facet: set(values) for facet, values in chosen.items()}
    counts: dict[str, Counter[str]] = {facet: Counter() for facet in FACETS}
    for has in known:
        missed = [facet for facet, values in sets.items() if values.isdisjoint(has[facet])]
        for facet in FACETS if not missed else missed if len(missed) == 1 else ():
            counts[facet].update(has[facet])
    return {facet: dict(sorted(found.items())) for facet, found in counts.items()}


def database(known: list[dict[str, set[str]]]) -> sqlite3.Connection:
    """A table for each facet, with what SQL needs to be quick."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE practice (id INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO practice VALUES (?)", [(number,) for number in range(len(known))])
    for facet in FACETS:
        db.execute(f"CREATE TABLE {facet} (value TEXT, practice INTEGER, PRIMARY KEY (value, practice)) WITHOUT ROWID")
        rows = [(value, number) for number, has in enumerate(known) for value in has[facet]]
        db.executemany(f"INSERT INTO {facet} VALUES (?, ?)", sorted(rows))
        db.execute(f"CREATE INDEX {facet}_of ON {facet} (practice, value)")
    db.execute("ANALYZE")
    return db


def in_sql(db: sqlite3.Connection, chosen: Mapping[str, Collection[str]]) -> dict[str, dict[str, int]]:
    """The same counts by one query for each facet."""
    found = {}
    for facet in FACETS:
        others = {name: values for name, values in chosen.items() if name != facet}
        where = " AND ".join(
            f"practice IN (SELECT practice FROM {name} WHERE value IN ({', '.join('?' * len(values))}))"
            for name, values in others.items()
        )
        query = f"SELECT value, count(*) FROM {facet} {'WHERE ' + where if where else ''} GROUP BY value ORDER BY value"
        found[facet] = dict(db.execute(query, [one for values in others.values() for one in values]).fetchall())
    return found


def timed(call: Callable[[], Any], least: int = 5, seconds: float = 1.0) -> float:
    """Median of several runs in milliseconds."""
    taken: list[float] = []
    while len(taken) < least or (sum(taken) < seconds and len(taken) < 200):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return 1e3 * statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    for size in parser.parse_args().sizes:
        measure(size)


def measure(size: int) -> None:
    view, known, seconds, megabytes = filled(size)
    db = database(known)
    print(f"\n{size:,} practices: ready {seconds:.2f} s after opening, {megabytes:.0f} MB in memory")
    print("| asked | view, ms | SQL, ms | Python, ms |\n|---|---|---|---|")
    for name, chosen in CHOICES.items():
        asked = Asked(chosen, FACETS)
        told = {facet: dict(counts) for facet, counts in view.ask("practice", asked).counts.items()}
        if not told == in_python(known, chosen) == in_sql(db, chosen):
            raise SystemExit(f"the counts differ: {name}")
        row = timed(partial(view.ask, "practice", asked)), timed(partial(in_sql, db, chosen), 3)
        print(
            f"| six facets and a page, {name} | {row[0]:.2f} | {row[1]:.1f} | {timed(partial(in_python, known, chosen), 3):.1f} |"
        )
    every = view.matching("practice", Asked())
    random_ = random.Random(5)
    lists = {
        "practices of a theme by evidence": ("practice", Asked({"theme": ["language"]}, order="evidence")),
        "all practices by evidence, page 21": ("practice", Asked(order="evidence", cursor=_later(view, 20))),
        "practices from the middle of the list": ("practice", Asked(cursor=every[len(every) // 2])),
        "cities, all facets": ("city", Asked(facets=facets_of(declaration().kind("city")))),
        "nearest cities to a profile": ("city", Asked(order="nearest", near=Profiled("LV", 56_000))),
    }
    for name, (kind, asked) in lists.items():
        print(f"| {name} | {timed(partial(view.ask, kind, asked)):.2f} | – | – |")

    def unremembered() -> None:
        view._profiles.clear()
        view.profiles(cities)

    cities = random_.sample(view.matching("city", Asked()), min(50, size // 20))
    print(f"| profiles of 50 cities, not remembered | {timed(unremembered):.2f} | – | – |")

    def write() -> None:
        view._follow_up([("practice", random_.choice(every))], {random_.choice(cities)})

    print(f"| a practice written, bit sets | {timed(write):.2f} | – | – |")

    def write_and_order() -> None:
        write()
        view.ask("practice", Asked(order="evidence"))

    print(f"| the order by evidence after a write | {timed(write_and_order):.2f} | – | – |")
    db.close()
    view.close()


def _later(view: ListView, pages: int) -> str | None:
    cursor = None
    for _ in range(pages):
        cursor = view.ask("practice", Asked(order="evidence", cursor=cursor)).next
    return cursor


if __name__ == "__main__":
    main()
