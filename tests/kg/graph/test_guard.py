"""What strangers may ask: nothing calls out, reads a file or changes anything, however it is written."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pyoxigraph as ox
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.errors import BadQuery, KgError, RefusedQuery
from kg.graph.guard import (
    DEEPEST,
    GOOD_USE,
    GOOD_USE_IN_FRENCH,
    MOST_SEARCHES,
    Checked,
    Hit,
    _plain,
    _Reader,
    check,
    explained,
)
from kg.vocabulary import MG, PREFIXES
from ontology import path as shipped

QUESTIONS = sorted(shipped("questions").glob("*.rq"))


@pytest.mark.parametrize("file", QUESTIONS, ids=lambda file: file.stem)
def test_questions_pass_and_mean_the_same(file) -> None:
    query = file.read_text(encoding="utf-8")
    checked = check(query)
    assert checked.form == "SELECT"
    run, asked = ("\n".join(line.partition("# ")[0] for line in text.splitlines()) for text in (checked.text(), query))
    assert run.split() == asked.split()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { ?s ?p ?o }",
        "PREFIX x: <urn:x#> # of mine\nBASE <urn:y>\nask{?s x:p 'it', \"is\"}",
        "select ?addressed { ?city schema:addressCountry ?addressed }",
        "DESCRIBE mg:Practice",
    ],
)
def test_a_plain_query_is_given_on_as_it_is(query: str) -> None:
    assert _plain(query) == Checked(_Reader(query).read().form, (query,))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { ?s ?p 'Service' }",
        "SELECT * FROM <urn:g> { ?s ?p ?o }",
        "SELECT * {} ; drop ALL",
        r"SELECT * { ?s ?p '\\' }",
        "SELECT * { ?s ?p 'Rīga' }",
        "SELECT * { \u017fERVICE <http://x.org/> {} }",
        "SELECT * { ?s ?p ?o",
        "SELECT * { ?s ?p 'o }",
        "ASK " + "{" * 201 + "}" * 201,
        "BASE SELECT * { ?s ?p ?o }",
        "",
    ],
)
def test_any_other_is_read(query: str) -> None:
    assert _plain(query) is None


CALLS = {
    "plainly": "SELECT * { SERVICE <http://x.org/> { ?s ?p ?o } }",
    "in small letters": "SELECT * { service <http://x.org/> {} }",
    "silently": "SELECT * { SERVICE SILENT <http://x.org/> {} }",
    "in a sub-select": "SELECT * { { SELECT ?s { SERVICE <http://x.org/> { ?s ?p ?o } } } }",
    "in EXISTS": "ASK { ?s ?p ?o FILTER EXISTS { SERVICE <http://x.org/> {} } }",
    "in NOT EXISTS of an expression": "SELECT (NOT EXISTS { SERVICE <http://x.org/> {} } AS ?x) {}",
    "in OPTIONAL, MINUS and UNION": "ASK { OPTIONAL { {} UNION { ?a ?b ?c MINUS { SERVICE <http://x.org/> {} } } } }",
    "in GRAPH": "ASK { GRAPH ?g { SERVICE <http://x.org/> {} } }",
    "in CONSTRUCT": "CONSTRUCT { ?s ?p ?o } WHERE { SERVICE <http://x.org/> { ?s ?p ?o } }",
    "in DESCRIBE": "DESCRIBE ?s { SERVICE <http://x.org/> { ?s ?p ?o } }",
    "after ORDER BY": "SELECT * {} ORDER BY (EXISTS { SERVICE <http://x.org/> {} })",
    "in escapes": "SELECT * { \\u0053ERVIC\\U00000045 <http://x.org/> {} }",
    "with an address in escapes": "SELECT * { SERVICE <http://x\\u002Eorg/> {} }",
    "with a variable": "SELECT * { VALUES ?s { <http://x.org/> } SERVICE ?s {} }",
    "with a prefixed name": "PREFIX x: <http://x.org/> SELECT * { SERVICE x:sparql {} }",
    "with the prefix of search": "PREFIX mg: <http://x.org/> SELECT * { SERVICE mg:search {} }",
    "with a prefix nobody declared": "SELECT * { SERVICE what:search {} }",
    "relative to a base": "BASE <http://x.org/> SELECT * { SERVICE <sparql> {} }",
    "after a comment": "SELECT * { # comment\r SERVICE # <\n<http://x.org/> {} }",
    "between strings": "SELECT * { ?s ?p '''a'b\\'''', \"\"\"c\"d\\\"\"\"\" SERVICE <http://x.org/> {} }",
    "between empty strings": "SELECT * { ?s ?p '', \"\" SERVICE <http://x.org/> {} }",
    "after a name with an escaped quote": "SELECT * { ?s ?p mg:it\\'s . SERVICE <http://x.org/> {} #'\n}",
    "after a name with an escaped hash": "SELECT * { ?s ?p mg:a\\#b . SERVICE <http://x.org/> {} }",
    "after an address with a hash": "SELECT * { ?s ?p <http://y.org/#a> . SERVICE <http://x.org/> {} }",
    "after a comparison like an address": "SELECT * { ?a ?b ?c FILTER(?a<?b&&?c>?d) SERVICE <http://x.org/> {} }",
    "as a name's prefix": "PREFIX ex: <http://x.org/> SELECT * { SERVICEex:sparql {} }",
    "as a whole prefix": "PREFIX : <http://x.org/> SELECT * { SERVICE:sparql {} }",
}

GLUED = {
    "to a truth value": "SELECT * { ?s ?p trueSERVICE<http://x.org/>{} }",
    "into a comparison like an address": "SELECT * { ?a ?b ?c FILTER(?a<?b)SERVICE?s#>\n{} }",
    "to a number": "SELECT * { ?s ?p 1eSERVICE<http://x.org/>{} }",
}


@pytest.mark.parametrize("place", CALLS)
def test_a_call_to_another_address_is_refused(place: str) -> None:
    with pytest.raises(RefusedQuery, match=r"line .*(never call|would read SERVICE)"):
        check(CALLS[place])


@pytest.mark.parametrize("how", GLUED)
def test_a_call_glued_to_something_is_not_read(how: str) -> None:
    with pytest.raises(BadQuery, match="line 1"):
        check(GLUED[how])


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { ?s rdfs:label 'SERVICE <http://x.org/> {}' }",
        'SELECT * { ?s rdfs:label """SERVICE\n<http://x.org/>""" }',
        "SELECT * { ?s ?p <http://publications.europa.eu/webapi/service> } # SERVICE <http://x.org/> {}",
        "SELECT ?service { ?service ?p ?o }",
        "SELECT * { ?s schema:serviceType ?load } ORDER BY ?service",
        "SELECT * { ?s ?p ?o FILTER(?s != <http://x.org/a#service>) }",
        'SELECT * { ?s ?p "LOAD", "DROP ALL"@en-GB }',
    ],
)
def test_the_word_alone_harms_nobody(query: str) -> None:
    assert check(query).text().split("# ")[0].split() == query.split("# ")[0].split()


@pytest.mark.parametrize(
    "update",
    [
        "INSERT DATA { <urn:a> <urn:b> <urn:c> }",
        "PREFIX x: <urn:x> DELETE WHERE { ?s ?p ?o }",
        "LOAD <file:///etc/passwd>",
        "WITH <urn:g> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }",
        "# a comment\nDROP ALL",
        "cl\\u0065ar all",
        "SELECT * {} ; CREATE GRAPH <urn:g>",
        "ASK { { LOAD <http://x.org/> } }",
    ],
)
def test_updates_are_refused_with_the_reason(update: str) -> None:
    with pytest.raises(RefusedQuery, match="queries here change nothing"):
        check(update)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "the query is empty"),
        ("SELEC * {}", "line 1, column 1: 'SELEC' begins no query"),
        ("SELECT *\n{ ?s ?p 'open }", "line 2, column 9: a string that does not end"),
        ("SELECT * { ?s ?p '''open }", "line 1, column 18: a string that does not end"),
        ("SELECT * { ?s ?p \u00a0?o }", "line 1, column 18"),
        ('SELECT * { ?s ?p "\\u005C" }', "cannot stand here"),
        ('SELECT * { ?s ?p "\\uD800" }', "cannot stand here"),
        ("SELECT * { ?s ?p ?o ) }", "closes nothing that is open"),
        ("SELECT * FROMex:a { ?s ?p ?o }", "put a space after FROM"),
        ("SELECT * { ?s ?p ?o FROM <urn:g> }", "FROM stands before WHERE"),
        ("SELECT * FROM ex:a { ?s ?p ?o }", "not declared"),
        ("PREFIX SELECT * {}", "after BASE or PREFIX"),
        ("ASK " + "{" * 10_000 + "}" * 10_000, f"more than {DEEPEST} deep"),
    ],
)
def test_what_is_no_query_is_told_with_its_place(query: str, message: str) -> None:
    with pytest.raises(BadQuery) as told:
        check(query)
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("query", "english", "french"),
    [
        (
            "ASK {\n SERVICE <http://x.org/> {} }",
            "line 2, column 2: SERVICE is refused: queries here never call other addresses. "
            "Ask '<http://x.org/>' yourself and put its answer in VALUES. Only SERVICE mg:search is known.",
            "ligne 2, colonne 2 : SERVICE est refusé : ici, les requêtes n’appellent aucune autre adresse. "
            "Interrogez '<http://x.org/>' vous-même et mettez sa réponse dans VALUES. Seul SERVICE mg:search est connu.",
        ),
        ("DROP ALL", "line 1, column 1: DROP is refused", "ligne 1, colonne 1 : DROP est refusé"),
        ("ASK { ?s SERVICEx:y ?o }", "the prefix 'SERVICEx:' is refused", "le préfixe 'SERVICEx:' est refusé"),
    ],
)
def test_refusals_are_told_in_french_too(query: str, english: str, french: str) -> None:
    with pytest.raises(RefusedQuery) as told:
        check(query)
    assert english in told.value.told("en")
    assert french in told.value.told("fr")


TOLD_IN_FRENCH = {
    "": "la requête est vide ; elle commence par SELECT",
    "SELEC * {}": "aucune requête ne commence par 'SELEC', mais par SELECT",
    "SELECT *\n{ ?s ?p 'open }": "une chaîne qui ne se termine pas",
    "SELECT * { ?s ?p \u00a0?o }": "'\\xa0' n’a pas sa place ici",
    'SELECT * { ?s ?p "\\uD800" }': "\\uD800 n’a pas sa place ici ; écrivez une barre oblique inverse \\\\",
    "SELECT *\n{ ?s ?p ?o ) }": "')' ne ferme rien d’ouvert",
    "ASK {\n{ SERVICE": "la requête se termine trop tôt",
    "PREFIX SELECT * {}": "après BASE ou PREFIX, 'SELECT' n’a pas sa place ici",
    "PREFIX a:b <urn:x> ASK { BIND('é' AS ?x) } # service": "'a:b' n’est pas un préfixe ; un préfixe s’écrit comme mg:",
    "ASK {\n ?s ?p trueSERVICE<http://x.org/> }": "'trueSERVICE' n’est pas un mot de SPARQL ; mettez une espace",
    "SELECT * FROMex:a { ?s ?p ?o }": "mettez une espace après FROM, ou choisissez un autre préfixe que 'FROMex'",
    "SELECT * { ?s ?p ?o FROM <urn:g> }": "FROM se place avant WHERE et nomme un graphe",
    "SELECT *\n\nFROM ex:a { ?s ?p ?o }": "le préfixe de 'ex:a' n’est pas déclaré",
    GLUED["into a comparison like an address"]: "mettez une espace après <, ou écrivez les parenthèses d’une adresse",
    "ASK " + "{" * 300 + "}" * 300: "les parenthèses sont imbriquées sur plus de 200 niveaux",
    "ASK {" + 'SERVICE mg:search { ?p mg:query "x" }' * 5 + "}": "une requête peut chercher 4 fois au plus",
    'ASK {\nSERVICE mg:search { ?p mg:query "x" ; mg:limit 0 } }': f"un nombre de 1 à 100 ; {GOOD_USE_IN_FRENCH}",
    'ASK { SERVICE mg:search { ?p mg:query " " } }': "le texte de mg:query compte de 1 à 20\u202f000 caractères",
    "ASK { SERVICE mg:search { } }": f"'}}' n’a pas sa place dans une recherche ; {GOOD_USE_IN_FRENCH}",
    f"PREFIX mg: <urn:x> ASK {{ SERVICE <{MG.search}> {{ ?p mg:query 'x' }} }}": "le préfixe mg: est lié ici à 'urn:x'",
}


@pytest.mark.parametrize("query", TOLD_IN_FRENCH)
def test_what_is_no_query_is_told_in_french_with_the_same_place(query: str) -> None:
    with pytest.raises(BadQuery) as told:
        check(query)
    english, french = told.value.told("en"), told.value.told("fr")
    assert TOLD_IN_FRENCH[query] in french
    place = re.match(r"line (\d+), column (\d+): ", english)
    assert (place is None) == (query == "")
    assert place is None or french.startswith(f"ligne {place[1]}, colonne {place[2]} : ")


def test_quotes_among_what_the_engine_expects_are_signs_like_others() -> None:
    query = "SELECT * { ?s ?p ?o } VALUES ?o {"
    with pytest.raises(SyntaxError) as told:
        ox.Store().query(query)
    wanted = "', +, -, ., :, <, \", }"
    explanation = explained(query, told.value)
    assert explanation["en"] == f"line 1, column 34: expected one of {wanted}, after {query[-30:]!r}"
    assert explanation["fr"] == f"ligne 1, colonne 34 : attendu : l’un de {wanted}, après {query[-30:]!r}"


@pytest.mark.parametrize(
    ("target", "english", "french"),
    [
        ("?x", "The variable '?x' cannot name an address here", "La variable '?x' ne peut pas nommer d’adresse ici"),
        ("SILENT $x", "The variable '$x' cannot name an address", "La variable '$x' ne peut pas nommer d’adresse"),
        ("", "'{' names none. Only", "'{' n’en nomme aucune. Seul"),
    ],
)
def test_only_an_address_is_to_be_asked_by_oneself(target: str, english: str, french: str) -> None:
    with pytest.raises(RefusedQuery) as refused:
        check(f"ASK {{ SERVICE {target} {{ ?s ?p ?o }} }}")
    assert english in refused.value.told("en")
    assert french in refused.value.told("fr")
    assert "Ask '" not in refused.value.told("en")


def test_from_names_the_dataset() -> None:
    query = "BASE <http://x.org/> PREFIX g: <urn:g:> SELECT * FROM <a> FROM NAMED g:b FROM<http://y.org/> { ?s ?p ?o }"
    checked = check(query)
    assert checked.default_graphs == ("http://x.org/a", "http://y.org/")
    assert checked.named_graphs == ("urn:g:b",)
    assert check("ASK {}").default_graphs is None


# Search


def test_a_search_becomes_values() -> None:
    checked = check(
        """SELECT * {
          SERVICE mg:search { ?practice mg:query "un guichet"@fr ; mg:score ?score ;
            mg:limit 2 ; mg:passage ?text . }
          ?practice mg:practisedIn ?city . oops }"""
    )
    search = checked.searches[0]
    assert (search.text, search.language, search.of, search.limit) == ("un guichet", "fr", "practice", 2)
    text = checked.text([[Hit("https://x.org/id/practice/a", 0.12345, 'a "desk"\nfor all', "en")]])
    assert '(<https://x.org/id/practice/a> 0.12345 "a \\"desk\\"\\nfor all"@en)' in text
    with pytest.raises(SyntaxError, match="at 4:"):
        ox.Store().query(text, prefixes=PREFIXES)


def test_a_search_joins_with_the_rest() -> None:
    store = ox.Store()
    store.update("INSERT DATA { <urn:a> <urn:in> <urn:riga> . <urn:b> <urn:in> <urn:gent> }")
    checked = check('SELECT ?city { ?p <urn:in> ?city SERVICE mg:search { ?p mg:query "desk" } }')
    rows = store.query(checked.text([[Hit("urn:b", 1, "", "en")]])).serialize(format=ox.QueryResultsFormat.TSV)
    assert rows == b"?city\n<urn:gent>\n"
    rows = store.query(checked.text([[]])).serialize(format=ox.QueryResultsFormat.TSV)
    assert rows == b"?city\n"


def test_cities_are_searched_for_by_their_class() -> None:
    checked = check(
        'SELECT * { SERVICE SILENT <https://w3id.org/mentorgraph/ontology#search> {?c a schema:City; mg:query "x";} }'
    )
    assert (checked.searches[0].of, checked.searches[0].subject) == ("city", "?c")


@pytest.mark.parametrize(
    "block",
    [
        "{ }",
        "{ ?p mg:score ?s }",
        "{ ?p mg:query ?text }",
        '{ ?p mg:query "x" ; mg:score 0.5 }',
        '{ ?p mg:query "x" ; mg:limit "3" }',
        '{ ?p mg:query "x" ; mg:query "y" }',
        '{ ?p mg:query "x" ; mg:score ?p }',
        '{ ?p mg:query "x" ; mg:score ?s ; mg:passage $s }',
        '{ ?p mg:query "x" . ?q mg:score ?s }',
        '{ <urn:p> mg:query "x" }',
        '{ ?p mg:query "x" ; a foaf:Person }',
        '{ ?p mg:query "x" FILTER(?p) }',
        '{ ?p mg:query "x" { SERVICE <http://x.org/> {} } }',
        '?p mg:query "x"',
    ],
)
def test_bad_use_of_search_is_told_how_to_do_it(block: str) -> None:
    with pytest.raises(BadQuery, match="does not fit into a search") as told:
        check(f"SELECT * {{ SERVICE mg:search {block} }}")
    assert GOOD_USE in str(told.value)
    for good_use in (GOOD_USE, GOOD_USE_IN_FRENCH):
        assert check("SELECT * { SERVICE" + good_use.partition("SERVICE")[2].partition("}")[0] + "} }").searches


@pytest.mark.parametrize("limit", ["0", "101", "9" * 50])
def test_a_search_is_bounded(limit: str) -> None:
    with pytest.raises(BadQuery, match="from 1 to 100"):
        check(f'SELECT * {{ SERVICE mg:search {{ ?p mg:query "x" ; mg:limit {limit} }} }}')
    with pytest.raises(BadQuery, match="1 to 20,000 characters"):
        check(f'SELECT * {{ SERVICE mg:search {{ ?p mg:query "{"x" * 20_001}" }} }}')
    with pytest.raises(BadQuery, match="at most"):
        check("ASK {" + 'SERVICE mg:search { ?p mg:query "x" }' * (MOST_SEARCHES + 1) + "}")


# Whatever is written, nothing connects


class Listener:
    """Counts who connects to a port of the loopback."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.calls = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.calls += 1
                connection.close()

    def close(self) -> None:
        self._socket.close()


@contextmanager
def listening() -> Iterator[Listener]:
    listener = Listener()
    try:
        yield listener
    finally:
        listener.close()


def run(query: str) -> None:
    """Evaluate in this process, which could open connections."""
    store = ox.Store()
    store.update("INSERT DATA { <urn:a> <urn:b> <urn:c>, true, 1, '' . GRAPH <urn:g> { <urn:a> <urn:b> 1 } }")
    with suppress(SyntaxError, ValueError, OSError, RuntimeError):
        results = store.query(query, prefixes=PREFIXES)
        if not isinstance(results, ox.QueryBoolean):
            list(results)


def test_the_engine_would_call_out_if_nobody_refused() -> None:
    with listening() as listener:
        run(f"SELECT * {{ SERVICE <http://127.0.0.1:{listener.port}/> {{ ?s ?p ?o }} }}")
        run(f"SELECT * {{ ?a <urn:b> trueSERVICE<http://127.0.0.1:{listener.port}/>{{?s ?p ?o}} }}")
        assert listener.calls == 2


def test_what_reads_as_a_string_here_and_as_a_comment_there_is_read_alike() -> None:
    with listening() as listener:
        call = f"SERVICE <http://127.0.0.1:{listener.port}/> {{ ?s ?p ?o }}"
        query = f"SELECT * {{ VALUES (?a ?b) {{ (1 2) }} FILTER(?a<?b#>'''\n) {call} #''')\n}}"
        run(query)
        assert listener.calls == 1, "the engine does not read it so any more; this test can go"
        run(check(query).text())
        assert listener.calls == 1


GAPS = st.sampled_from([" ", "\n", "\t", " # SERVICE\n", "#'\n", "\r\n", "  "])
HARMLESS = st.sampled_from(
    [
        "?a ?b ?c .",
        "?a <urn:b> 'x' .",
        '?a <urn:b> "SERVICE <http://x.org/> {}"@en .',
        "?a <urn:b> '''it's''' .",
        "?a <urn:b#c> 1.5 .",
        "FILTER(?a<?b&&?c>?d)",
        "FILTER(?a<?b#>\n)",
        "FILTER(?a<1||2>?b)",
        "BIND(STR(?a) AS ?x1)",
        "?a <urn:b> mg:it\\'s .",
        "?a <urn:b> _:x .",
        "?a <urn:b>? ?c .",
        "VALUES (?a) { (<urn:a>) }",
    ]
)
WORD = st.sampled_from(["SERVICE", "service", "SeRvIcE", "\\u0053ERVICE", "SERVIC\\U00000045", "SERVICE SILENT"])
GLUE = st.sampled_from([" ", "\n", "", "#\n", "\t"])


def disguised(port: int) -> st.SearchStrategy[str]:
    """A call to the listener, written in some way."""
    targets = st.sampled_from(
        [
            f"<http://127.0.0.1:{port}/>",
            f"<http://127.0.0.1:{port}/#a>",
            "evil:x",
            "?evil",
            ":x",
            f"<//127.0.0.1:{port}>",
        ]
    )
    before = st.sampled_from(
        ["", "?a <urn:b> true", "?a <urn:b> 1", "?a <urn:b> ''", "FILTER(?a<?b)", "FILTER(?a<?b#>\n)"]
    )
    return st.builds(
        lambda head, glue, word, gap, target: f"{head}{glue}{word}{gap}{target}{{?s ?p ?o}}",
        before, GLUE, WORD, GLUE, targets,
    )  # fmt: skip


def nested(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A group somewhere inside others."""
    wrappers = st.sampled_from(
        [
            "{%s}", "OPTIONAL{%s}", "{?a ?b ?c}UNION{%s}", "MINUS{?a ?b ?c %s}", "GRAPH ?g{%s}", "{SELECT*{%s}}",
            "FILTER EXISTS{%s}", "FILTER(NOT EXISTS{%s})", "BIND(EXISTS{%s} AS ?x)", "{SELECT(EXISTS{%s} AS ?y){}}",
            "FILTER(1 < 2 && EXISTS{%s})", "FILTER(?a IN (1,EXISTS{%s}))",
        ]
    )  # fmt: skip
    return st.recursive(
        st.builds(lambda a, gap, x, b: f"{a}{gap}{x}{gap}{b}", HARMLESS, GAPS, inside, HARMLESS),
        lambda group: st.builds(
            lambda around, gap, one, first: first + gap + around.replace("%s", one), wrappers, GAPS, group, HARMLESS
        ),
        max_leaves=4,
    )


HEAD = "PREFIX evil:<http://127.0.0.1:{port}/>PREFIX :<http://127.0.0.1:{port}/>BASE<http://127.0.0.1:{port}/>"
FORMS = ("SELECT*{%s}", "ASK{%s}", "CONSTRUCT{?s ?p ?o}WHERE{%s}", "DESCRIBE ?a{%s}", "SELECT?a WHERE{%s}ORDER BY ?a")
UNHURRIED = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@UNHURRIED
@given(data=st.data())
def test_no_call_passes_wherever_it_hides(data: st.DataObject) -> None:
    with listening() as listener:
        group = data.draw(nested(disguised(listener.port)))
        query = HEAD.replace("{port}", str(listener.port)) + data.draw(st.sampled_from(FORMS)).replace("%s", group)
        with pytest.raises(KgError):
            check(query)


@UNHURRIED
@given(data=st.data())
def test_whatever_passes_connects_to_nothing(data: st.DataObject) -> None:
    """Pieces in any order: most of it is no query, some of it is one that the engine reads otherwise than we do."""
    with listening() as listener:
        address = f"http://127.0.0.1:{listener.port}/"
        bits = [
            "SERVICE", "service", "\\u0053ERVICE", f"<{address}>", "evil:x", "SERVICEevil:x", "{", "}", "{}", "(", ")",
            "FILTER(", "?a", "<", ">", "<?b#>", "#", "\n", " ", "'", '"', "'''", '"""', "\\'", "\\", "true", "1", ".",
            ";", "EXISTS{", "SELECT*{", "ASK{", "FROM", "LOAD", "mg:a\\#", "@en", "||", "{?s ?p ?o}",
        ]  # fmt: skip
        soup = "".join(data.draw(st.lists(st.sampled_from(bits), max_size=14)))
        query = HEAD.replace("{port}", str(listener.port)) + "SELECT*{?a ?b ?c " + soup + "}"
        try:
            text = check(query).text()
        except KgError:
            return
        run(text)
        assert listener.calls == 0, query


@UNHURRIED
@given(group=nested(st.just("")), form=st.sampled_from(FORMS))
def test_what_is_harmless_passes_and_means_the_same(group: str, form: str) -> None:
    query = form.replace("%s", group)
    assert parses(check(query).text()) == parses(query)


def parses(query: str) -> bool:
    try:
        ox.Store().query(query, prefixes=PREFIXES)
    except SyntaxError:
        return False
    return True


@pytest.mark.parametrize(
    ("pair", "rule"),
    [
        ('mg:query "desk" ; mg:limit 0', "mg:limit is a number from 1 to 100"),
        ('mg:query "desk" ; mg:limit 101', "mg:limit is a number from 1 to 100"),
        ('mg:query "   "', "the text of mg:query has 1 to 20,000 characters, not only white space"),
    ],
)
def test_a_value_out_of_its_range_is_told_with_good_use(pair: str, rule: str) -> None:
    with pytest.raises(BadQuery) as told:
        check(f"SELECT * {{ SERVICE mg:search {{ ?p {pair} }} }}")
    assert f"{rule}; write SERVICE mg:search {{ ?practice mg:query" in str(told.value)


def test_whoever_binds_our_prefix_to_something_else_is_told() -> None:
    hint = "the prefix mg: is bound to 'http://evil/' here; leave that line out, or write PREFIX mg: <https://w3id.org/"
    with pytest.raises(RefusedQuery) as refused:
        check('PREFIX mg: <http://evil/> SELECT * { SERVICE mg:search { ?p mg:query "desk" } }')
    assert hint in str(refused.value)
    assert "Ask 'mg:search' yourself" not in str(refused.value)
    assert "le préfixe mg: est lié ici à 'http://evil/'" in refused.value.told("fr")
    search = f"<{MG.search}>"
    with pytest.raises(BadQuery) as misused:
        check(f'PREFIX mg: <http://evil/> SELECT * {{ SERVICE {search} {{ ?p mg:query "desk" }} }}')
    assert hint in str(misused.value)
    assert "write SERVICE mg:search" not in str(misused.value)
