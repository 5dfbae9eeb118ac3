"""The command line, run as people run it: another process, exit codes, one-line errors."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from kg.matching.reasons import ROLE_LIMITS
from tests.models import prepared_models

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from service.cli import main; main()"]
NEED = "Nous cherchons à aider les nouveaux arrivants à apprendre la langue"


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MENTORGRAPH_")}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1", **extra}


def run(*arguments: str | Path, folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`, whose `data` is the default data folder."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=120,
    )


def told(result: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line of an error, after its exit code was compared."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, start_folder: Path) -> Path:
    """A folder with a data folder of its own: a copy of the starting data, with the prepared model."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(start_folder, folder / "data")
    shutil.copytree(prepared_models(), folder / "data" / "models", dirs_exist_ok=True)
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def _heed_interrupts() -> None:
    """In a new process: take an interrupt, also where the tests run in the background and have it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def serving(place: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`mentorgraph serve` on a free port; yields the process and the address that it printed."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *options],
        cwd=place,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_interrupts,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        address = re.search(r"http://[0-9.:]+", line)
        assert address, line + (process.stderr.read() if process.stderr else "")
        yield process, address[0]
    finally:
        process.kill()
        process.communicate()


def test_help_comes_at_once_and_names_every_command() -> None:
    result = run("--help", folder=ROOT)
    assert result.returncode == 0
    documented = set(
        re.findall(r"^\| `mentorgraph (\w+)", (ROOT / "docs/cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert documented == set(re.findall(r"^│ (\w+) ", result.stdout.partition("Commands")[2], re.MULTILINE))


def test_every_option_is_documented_and_no_other() -> None:
    documentation = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    everywhere = {"--data", "--json", "--help", "--debug"}
    for row in re.findall(r"^\| `mentorgraph (.*?)` \|(.*)\|$", documentation, re.MULTILINE):
        words = [word for word in row[0].split() if word.islower()]
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run(*words, "--help", folder=ROOT, COLUMNS="200").stdout))
        assert (
            set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", row[1]))
            == {o for o in options if not o.startswith("--no-")} - everywhere
        ), words
    assert everywhere - {"--help"} <= set(re.findall(r"--[a-z]+", documentation))


def test_exit_codes_are_documented() -> None:
    from service import cli

    codes = re.findall(r"^\| (\d+) \|", (ROOT / "docs/cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert codes == re.findall(r"^    (\d+) ", cli.__doc__ or "", re.MULTILINE)


def test_a_wrong_option_is_wrong_usage() -> None:
    result = run("suggest", "x", "--no-such-option", folder=ROOT)
    assert result.returncode == 2
    assert "--no-such-option" in result.stderr


def test_a_command_without_a_data_folder_says_what_makes_one(tmp_path: Path) -> None:
    for command in (["suggest", "one desk"], ["check"], ["verify"], ["serve", "--port", "0"], ["export", "x.jsonl"]):
        assert "mentorgraph init" in told(run(*command, folder=tmp_path), 4)
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    assert "MENTORGRAPH_PORT 'many'" in told(run("serve", folder=tmp_path, MENTORGRAPH_PORT="many"), 2)


def test_suggest_prints_what_an_officer_needs(place: Path) -> None:
    answer = json.loads(run("suggest", NEED, "--mentee", "jelgava", "--limit", "3", "--json", folder=place).stdout)
    result = run("suggest", NEED, "--mentee", "jelgava", "--limit", "3", folder=place)
    assert result.returncode == 0, result.stderr
    text = " ".join(result.stdout.split())
    position = -1
    for one in answer["suggestions"]:
        found = text.find(f"{one['rank']} {one['city']['label']}, {one['city']['country_label']}")
        assert found > position, one["city"]
        position = found
        assert one["band_label"] in text
        for practice in one["practices"]:
            assert " ".join(practice["title"].split()) in text
            assert " ".join(practice["passage"]["text"].split())[:60] in text
        weighty = [reason for reason in one["reasons"] if reason["weight"] > 0]
        for sentence in [reason["text"] for reason in weighty if reason["stance"] == "for"]:
            assert " ".join(sentence.split()) in text
        for unknown in one["unknowns"]:
            assert unknown["ask"] in text
    assert " ".join(answer["role_limits"].split()) in text
    assert "Ce qui parle pour elle" in text


def test_the_language_of_the_answer_is_the_need_s_unless_chosen(place: Path) -> None:
    assert "What a mentor city does" in run("suggest", NEED, "--lang", "en", "--limit", "1", folder=place).stdout
    assert "What a mentor city does" in run("suggest", "Wir suchen eine Anlaufstelle", folder=place).stdout
    assert "en and fr" in told(run("suggest", NEED, "--lang", "de", folder=place), 2)


def test_suggest_tells_why_not_what_would_change_and_prints_a_text_to_forward(place: Path) -> None:
    asked = ("suggest", NEED, "--mentee", "jelgava", "--limit", "2", "--lang", "en")
    why = " ".join(run(*asked, "--why-not", "vienna", "--profile", "peer-learning", folder=place).stdout.split())
    assert why.startswith("Vienna stands at rank")
    for said in ("What would put Vienna before", "accompanies", "Ranked with the profile peer-learning, version 2."):
        assert said in why
    prose = run(*asked, "--prose", folder=place).stdout
    assert prose.startswith("# Mentor cities to look at")
    assert "creativecommons" in prose
    assert " ".join(ROLE_LIMITS["en"].split()) in prose
    assert "What would put" in run(*asked, "--explain", folder=place).stdout
    assert "there are mentoring, peer-learning" in told(run(*asked, "--profile", "x", folder=place), 1)
    assert "choose one" in told(run(*asked, "--prose", "--why-not", "vienna", folder=place), 2)


def test_a_profile_that_is_none_is_told_before_anything_is_opened(place: Path, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[profiles.x]\nbest = 2\n", encoding="utf-8")
    answer = run("suggest", NEED, folder=place, MENTORGRAPH_PROFILES=str(tmp_path / "own.toml"))
    assert "own.toml, profile 'x': version: give one" in told(answer, 1)


def test_what_cannot_be_used_is_told_in_one_line(place: Path) -> None:
    assert "vouliez-vous dire jelgava" in told(run("suggest", NEED, "--mentee", "jelgawa", folder=place), 1)
    assert "say in a sentence" in told(run("suggest", "  ", folder=place), 1)
    assert "--weight 'much'" in told(run("suggest", NEED, "--weight", "much", folder=place), 2)
    assert "ce facteur n’existe pas" in told(run("suggest", NEED, "--weight", "distance=2", folder=place), 1)
    assert "mechelen--samen-inburgeren" in told(run("similar", "mechelen--samen-inburgere", folder=place), 1)


def test_similar_lists_practices(place: Path) -> None:
    found = json.loads(run("similar", "mechelen--samen-inburgeren", "--limit", "3", "--json", folder=place).stdout)
    assert len(found["results"]) == 3
    table = run("similar", "mechelen--samen-inburgeren", "--limit", "3", folder=place).stdout
    assert found["results"][0]["city"]["label"] in table


def test_check_verify_and_reindex_agree(place: Path) -> None:
    assert json.loads(run("check", "--json", folder=place).stdout) == {"ok": True, "differences": []}
    rows = json.loads(run("verify", "--json", folder=place).stdout)["rows"]
    assert json.loads(run("reindex", "--json", folder=place).stdout)["revision"] == rows
    assert f"{rows} rows verified" in run("verify", folder=place).stdout


def test_a_load_is_all_or_nothing(place: Path, tmp_path: Path) -> None:
    rows = json.loads(run("verify", "--json", folder=place).stdout)["rows"]
    good = {"kind": "city", "id": "newtown", "name": {"en": "Newtown"}, "country": "BE"}
    bad = {"kind": "city", "id": "nowhere", "name": {"en": "Nowhere"}, "country": "Belgium"}
    file = tmp_path / "cities.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in (good, bad)), encoding="utf-8")
    refused = run("load", file, folder=place)
    assert refused.returncode == 1
    assert "country" in refused.stdout
    assert "Nothing was written" in refused.stdout
    assert json.loads(run("verify", "--json", folder=place).stdout)["rows"] == rows
    file.write_text(json.dumps(good) + "\n", encoding="utf-8")
    assert json.loads(run("load", file, "--dry-run", "--json", folder=place).stdout)["written"] is False
    assert json.loads(run("load", file, "--json", folder=place).stdout)["new"] == 1
    assert json.loads(run("load", file, "--json", folder=place).stdout)["unchanged"] == 1


def test_an_export_can_be_loaded_again_and_changes_nothing(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    exported = json.loads(run("export", file, "--json", folder=place).stdout)
    assert exported["records"] == len(file.read_text(encoding="utf-8").splitlines())
    again = json.loads(run("load", file, "--json", folder=place).stdout)
    assert (again["new"], again["changed"], again["unchanged"]) == (0, 0, exported["records"])
    assert ".jsonl" in told(run("export", tmp_path / "all.pdf", folder=place), 1)


def test_init_if_missing_leaves_a_folder_as_it_is(place: Path) -> None:
    before = json.loads(run("verify", "--json", folder=place).stdout)
    result = run("init", "--start-data", "--if-missing", folder=place)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert json.loads(run("verify", "--json", folder=place).stdout) == before
    told(run("init", folder=place), 4)


def test_init_finishes_what_an_interrupted_one_began(tmp_path: Path) -> None:
    from kg.folder import DataFolder
    from kg.ledger import Ledger

    folder = DataFolder.create(tmp_path / "data")
    Ledger.create(f"sqlite:///{folder.ledger}", "https://example.org/").close()
    shutil.copytree(prepared_models(), folder.models)
    result = run("init", "--if-missing", "--json", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["records"]["theme"] == 90


def test_a_port_that_is_taken_is_told_and_nothing_is_opened(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port}" in told(run("serve", "--port", str(port), folder=place), 1)
    assert run("verify", folder=place).returncode == 0


def test_while_a_service_runs_readers_ask_it_and_writers_are_told(place: Path, tmp_path: Path) -> None:
    alone = json.loads(run("suggest", NEED, "--json", folder=place).stdout)
    asking = ("suggest", NEED, "--mentee", "jelgawa")
    misspelt = {line: told(run(*line, folder=place), 1) for line in (asking, (*asking, "--lang", "en"))}
    in_french, in_english = misspelt.values()
    assert "vouliez-vous dire jelgava" in in_french
    assert "did you mean jelgava" in in_english
    with serving(place) as (_, url):
        assert httpx.get(url + "/health/live", trust_env=False).status_code == 200
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        connection.request("GET", "/api/suggestions?" + urlencode({"need": "θ" * 20_000}))
        assert connection.getresponse().status == 200
        connection.close()
        asked = json.loads(run("suggest", NEED, "--json", folder=place).stdout)
        assert asked == alone
        for line in misspelt:
            assert told(run(*line, folder=place), 1) == misspelt[line]
        similar = json.loads(run("similar", "mechelen--samen-inburgeren", "--json", folder=place).stdout)
        assert len(similar["results"]) == 10
        exported = json.loads(run("export", tmp_path / "all.nq", "--json", folder=place).stdout)
        assert exported["bytes"] == (tmp_path / "all.nq").stat().st_size > 0
        for command in (["reindex"], ["check"], ["load", tmp_path / "all.nq"]):
            assert url in told(run(*command, folder=place), 3)
        second = told(run("serve", "--port", "0", folder=place), 3)
        assert url in second


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_service_that_is_stopped_gives_the_folder_back(place: Path, sent: signal.Signals, code: int) -> None:
    with serving(place) as (process, url):
        httpx.get(url + "/health/ready", trust_env=False)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert run("verify", folder=place).returncode == 0


def test_a_command_that_is_interrupted_ends_with_130(place: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "reindex"], cwd=place, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    # While Python itself ends, after all work is done, the signal ends the process before it can say 130.
    assert process.returncode in (130, 0, -signal.SIGINT)
    assert "Traceback" not in errors
    assert json.loads(run("check", "--json", folder=place).stdout)["ok"] is True


def test_our_own_mistakes_are_one_line_unless_asked_for_more(tmp_path: Path) -> None:
    from service.cli import OWN_MISTAKE, explained

    message, code = explained(ZeroDivisionError("division by zero"))
    assert code == OWN_MISTAKE
    assert "ZeroDivisionError: division by zero" in message
    assert "--debug" in message
    result = run("--debug", "verify", folder=tmp_path)
    assert "Traceback" in result.stderr


def test_a_measurement_of_search_is_printed_and_as_json(place: Path, tmp_path: Path) -> None:
    texts = {"a": "Language courses for parents at school", "b": "Housing for refugees", "c": "Trees along hot streets"}
    known = {"country": "BE", "lang": "en", "source": "made", "themes": []}
    corpus = [{"id": id, "city": id, "city_id": id, "title": text, "text": text, **known} for id, text in texts.items()]
    asked = {"a": "parents learn the language", "b": "a home for refugees"}
    queries = [
        {
            **{"pool": "made", "id": id, "type": f"kind-{id}", "lang": "en", "need_text": text, "relevant": {id: 2}},
            **{"mentee": {}, "relevant_practice_ids": [id], "relevant_city_ids": [id]},
        }
        for id, text in asked.items()
    ]
    for name, lines in (("corpus", corpus), ("queries", queries)):
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    command = ["evaluate", "--corpus", tmp_path / "corpus", "--queries", tmp_path / "queries", "--method", "bm25"]
    result = run(*command, "--json", folder=place)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert {name: one["n"] for name, one in measured["types"].items()} == {"kind-a": 1, "kind-b": 1}
    assert measured["macro"]["ndcg10"] == 1.0
    assert "1.000" in run(*command, "--folds", "2", folder=place, COLUMNS="160").stdout
    assert "line 1" in told(run(*command[:2], tmp_path / "queries", *command[3:], folder=place), 1)


def test_the_records_themselves_are_measured_with_a_report(place: Path, tmp_path: Path) -> None:
    result = run("evaluate", "--json", "--report", tmp_path / "report", folder=place)
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)["own_graph"]
    assert {kind: one["n"] for kind, one in measured["types"].items()} == {
        "practice left out": 47,
        "problem left out": 71,
        "mentorship: need": 6,
        "mentorship: theme": 6,
        "transfer": 5,
    }
    assert all(one["mrr10"] > measured["chance"][kind] for kind, one in measured["types"].items())
    report = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "79 practices of 49 cities" in report
    assert str(tmp_path / "report" / "report.md") in result.stderr


def test_a_measurement_that_lacks_half_of_its_files_says_so(place: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").write_text("{}", encoding="utf-8")
    assert "belong together" in told(run("evaluate", "--corpus", tmp_path / "corpus", folder=place), 2)
    assert "--folds is for needs" in told(run("evaluate", "--folds", "5", folder=place), 2)
