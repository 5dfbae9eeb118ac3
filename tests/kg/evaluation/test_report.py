from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from kg.evaluation.figures import compared, summary
from kg.evaluation.files import JudgedNeed
from kg.evaluation.folds import Candidates, across_folds
from kg.evaluation.own_graph import CITY_METRICS, KINDS, LEFT_OUT, WITHOUT_PROBLEM
from kg.evaluation.report import COLOURS, MARKS, write_report
from kg.search.ranking import Profile

HOSTILE = 'a | b $\\frac{ <script>alert("x")</script> ](evil) \x00\u202e 城市 ' + "long " * 40

SEARCH = {"ndcg10": 0.5, "mrr10": 0.25, "recall10": 1.0, "city_mrr10": None}
CITY = dict(zip(CITY_METRICS, (0.5, 0.0, 1.0, 0.75), strict=True))


def of_corpus(type: str = "heat") -> dict:
    scores = [(type, SEARCH), (type, {**SEARCH, "ndcg10": 1.0}), ("music", SEARCH)]
    types, figures = [kind for kind, _ in scores], [one for _, one in scores]
    needs = [JudgedNeed(str(n), type, "x", {"a": 2}, frozenset(), None) for n in range(4)]
    rows = np.array([[0.9, 0.1, 0.5], [0.1, 0.9, 0.5]])
    candidates = [Candidates(need, "read", (("a", "riga"), ("b", "gent")), rows) for need in needs]
    return {
        "method": "fused",
        "model": "words-1",
        "practices": 1_234,
        "queries": 3,
        "milliseconds_per_query": 17.3,
        **summary(scores),
        "languages": summary([("lv", SEARCH)])["types"],
        "ablations": {"no bm25": compared(types, figures, [{**one, "ndcg10": 0.0} for one in figures])},
        "folds": across_folds(candidates, Profile(), 2),
    }


def of_own_graph() -> dict:
    kinds = [LEFT_OUT, WITHOUT_PROBLEM, WITHOUT_PROBLEM]
    beside = compared(kinds, [CITY] * 3, [{**CITY, "mrr10": 1.0}] * 3, by="mrr10", metrics=CITY_METRICS)
    told = {"needs": 2, "first": 10, "gini": 0.4, "never": 3, "with_records": {"value": 0.5, "interval": [0.1, 0.9]}}
    return {
        "own_graph": {
            **summary([(kind, CITY) for kind in kinds], CITY_METRICS),
            "kinds": {kind: {"n": 1, "asks": asks, "left_out": {"it is so": 7}} for kind, asks in KINDS.items()},
            "languages": {},
            "chance": dict.fromkeys(KINDS, 0.06),
            "voting": {"top-m": beside, "Votes": beside},
            "attention": {"suggestions": told, "most records": {**told, "gini": None, "with_records": None}},
            "ablations": {"no bridge": beside},
            "cities": 49,
            "practices": 79,
            "revision": 396,
            "model": "words-1",
            "profile": {"name": "mentoring", "version": "1"},
            "as_of": "2026-11-01",
        }
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_same_figures_give_the_same_files(tmp_path):
    measured = {**of_corpus(), **of_own_graph()}
    write_report(measured, tmp_path / "one")
    write_report({**measured, "milliseconds_per_query": 99.0}, tmp_path / "other" / "deep")
    assert contents(tmp_path / "one") == contents(tmp_path / "other" / "deep")


def test_every_plot_is_shown_with_its_figures_in_words_and_none_is_left_over(tmp_path):
    files = write_report({**of_corpus(), **of_own_graph()}, tmp_path)
    text = files[0].read_text(encoding="utf-8")
    shown = dict(re.findall(r"^!\[(.+)\]\((\S+)\)$", text, re.MULTILINE))
    assert sorted(shown.values()) == sorted(file.name for file in files[1:])
    assert len(shown) == 8
    assert all(re.search(r"\d{3}", told) for told in shown)
    assert set(contents(tmp_path)) == {file.name for file in files}


def test_figures_stand_with_their_intervals_and_numbers_of_needs(tmp_path):
    report, *_ = write_report(of_corpus(), tmp_path)
    text = report.read_text(encoding="utf-8")
    assert "| heat | 2 | .750 (.500 to 1.000) | .250 (.250 to .250) | 1.000 (1.000 to 1.000) | – |" in text
    assert "| no bm25 | +.750 (+.500 to +1.000) | +.500 (+.500 to +.500) |" in text
    assert "| heat | 4 |" in text
    assert "The records themselves" not in text


def test_what_was_left_out_is_said_and_chance_stands_beside(tmp_path):
    report, *_ = write_report(of_own_graph(), tmp_path)
    text = report.read_text(encoding="utf-8")
    assert f"*{LEFT_OUT}*" in text
    assert text.count("Left out: 7 because it is so.") == len(KINDS)
    assert re.search(rf"^\| {LEFT_OUT} \| 1 \| .* \| \.060 \|$", text, re.MULTILINE)
    assert "Needs with known answers" not in text


def test_names_from_files_of_others_break_neither_table_nor_plot(tmp_path):
    report, *plots = write_report(of_corpus(HOSTILE), tmp_path)
    text = report.read_text(encoding="utf-8")
    assert "<script" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    for line in text.splitlines():
        if line.startswith("!["):
            assert re.fullmatch(r"!\[(?:[^\[\]]|\\.)*\]\([a-z-]+\.svg\)", line)
    for plot in plots:
        ElementTree.parse(plot)


def test_plots_have_title_description_and_a_mark_for_each_colour(tmp_path):
    _, *plots = write_report({**of_corpus(), **of_own_graph()}, tmp_path)
    assert len(set(COLOURS)) == len(set(MARKS)) == len(COLOURS)
    for plot in plots:
        text = plot.read_text(encoding="utf-8")
        assert "<dc:title>" in text
        assert "<dc:description>" in text
        assert "<dc:date>" not in text


def test_nothing_measured_is_a_report_without_plots(tmp_path):
    assert [file.name for file in write_report({}, tmp_path)] == ["report.md"]


@pytest.mark.parametrize("module", ["kg.evaluation", "kg.evaluation.report", "kg.evaluation.own_graph"])
def test_plots_are_loaded_only_to_be_drawn(module):
    code = f"import sys, {module}; print('matplotlib' in sys.modules, 'onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
