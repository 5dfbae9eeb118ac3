"""Themes found in needs, in eight languages; the bridge to English; foreign thesauri."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib import SKOS, Graph

import kg.search.thesaurus as module
import ontology
from kg.errors import TooLarge, UnreadableInput
from kg.search.embedding import OnnxEmbedder
from kg.search.thesaurus import Thesaurus, bridge

THESAURI = Path(__file__).resolve().parents[4] / "shared" / "data" / "thesauri"

# Written before looking at the labels; the same need in each language, by the branch of themes it belongs to.
NEEDS: Mapping[str, Mapping[str, str]] = {
    "language": {
        "en": "Newcomers need to learn our language, and mothers need childcare during the lessons",
        "fr": "Les nouveaux arrivants doivent apprendre notre langue, et les mères ont besoin d'une garde d'enfants",
        "es": "Los recién llegados tienen que aprender nuestra lengua y las madres necesitan guardería",
        "it": "I nuovi arrivati devono imparare la nostra lingua e le madri hanno bisogno di aiuto durante i corsi",
        "de": "Zugewanderte müssen unsere Sprache lernen, und Mütter brauchen Kinderbetreuung in der Zeit",
        "nl": "Nieuwkomers moeten onze taal leren en moeders hebben kinderopvang nodig tijdens de taallessen",
        "el": "Οι νεοαφιχθέντες πρέπει να μάθουν τη γλώσσα μας και οι μητέρες χρειάζονται φύλαξη παιδιών στα μαθήματα",
        "lv": "Jauniebraucējiem jāapgūst mūsu valoda, un mātēm vajadzīga bērnu pieskatīšana",
    },
    "housing": {
        "en": "Refugee families do not find affordable housing in our town",
        "fr": "Les familles réfugiées ne trouvent pas de logement abordable dans notre commune",
        "es": "Las familias refugiadas no encuentran vivienda asequible en nuestro municipio",
        "it": "Le famiglie rifugiate non trovano alloggi accessibili nel nostro comune",
        "de": "Geflüchtete Familien finden in unserer Stadt keine bezahlbaren Wohnungen",
        "nl": "Vluchtelingengezinnen vinden in onze gemeente geen betaalbare huisvesting",
        "el": "Οι οικογένειες προσφύγων δεν βρίσκουν προσιτή στέγη στον δήμο μας",
        "lv": "Bēgļu ģimenes mūsu pilsētā nevar atrast pieejamu mājokli",
    },
    "equality": {
        "en": "We want to act against racism and discrimination in our schools",
        "fr": "Nous voulons agir contre le racisme et les discriminations dans nos écoles",
        "es": "Queremos actuar contra el racismo y la discriminación en las escuelas",
        "it": "Vogliamo contrastare il razzismo e la discriminazione nelle scuole",
        "de": "Wir wollen gegen Rassismus und Diskriminierung an Schulen vorgehen",
        "nl": "We willen racisme en discriminatie op school aanpakken",
        "el": "Θέλουμε να καταπολεμήσουμε τον ρατσισμό και τις διακρίσεις στα σχολεία",
        "lv": "Mēs vēlamies vērsties pret rasismu un diskrimināciju skolās",
    },
    "participation": {
        "en": "We look for volunteers and want foreign residents to take part in decisions",
        "fr": "Nous cherchons des bénévoles et la participation des résidents étrangers aux décisions",
        "es": "Buscamos voluntarios y la participación de los residentes extranjeros en las decisiones",
        "it": "Cerchiamo volontari e la partecipazione dei residenti stranieri alle decisioni",
        "de": "Wir suchen Ehrenamtliche und wollen die Teilhabe ausländischer Einwohner an Entscheidungen",
        "nl": "We zoeken vrijwilligers en willen de participatie van buitenlandse inwoners bij besluiten",
        "el": "Αναζητούμε εθελοντές και τη συμμετοχή των ξένων κατοίκων στις αποφάσεις",
        "lv": "Meklējam brīvprātīgos un vēlamies ārvalstu iedzīvotāju līdzdalību lēmumos",
    },
    "employment": {
        "en": "Migrants need better access to jobs, and their skills are not recognised",
        "fr": "Les migrants ont besoin d'un meilleur accès à l'emploi et leurs compétences ne sont pas reconnues",
        "es": "Los migrantes necesitan acceso al empleo y sus competencias no se reconocen",
        "it": "I migranti hanno bisogno di accesso al lavoro e le loro competenze non sono riconosciute",
        "de": "Migranten brauchen besseren Zugang zum Arbeitsmarkt, ihre Kompetenzen werden nicht anerkannt",
        "nl": "Migranten hebben betere toegang tot werk nodig en hun competenties worden niet erkend",
        "el": "Οι μετανάστες χρειάζονται πρόσβαση στην αγορά εργασίας και οι δεξιότητές τους δεν αναγνωρίζονται",
        "lv": "Migrantiem vajadzīga labāka piekļuve darba tirgum, viņu prasmes netiek atzītas",
    },
}


@pytest.fixture(scope="session")
def themes() -> Thesaurus:
    """The themes we ship."""
    graph = Graph().parse(Path(ontology.__file__).parent / "themes.ttl")

    def short(iri: Any) -> str:
        return str(iri).rpartition("/")[2]

    def record(theme: Any) -> dict[str, Any]:
        alt: dict[str, list[str]] = {}
        for label in graph.objects(theme, SKOS.altLabel):
            alt.setdefault(label.language, []).append(str(label))
        label = {text.language: str(text) for text in graph.objects(theme, SKOS.prefLabel)}
        broader = next((short(b) for b in graph.objects(theme, SKOS.broader)), None)
        return {"id": short(theme), "label": label, "alt": alt, "broader": broader}

    return Thesaurus(
        [record(theme) for theme in sorted(graph.subjects(SKOS.prefLabel)) if (theme, SKOS.inScheme, None) in graph]
    )


# ------------------------------------------------------------------------------------------ our own themes


@pytest.mark.parametrize("language", ["en", "fr", "es", "it", "de", "nl", "el", "lv"])
def test_a_need_finds_its_branch_of_themes_in_its_own_language(themes: Thesaurus, language: str) -> None:
    missed = [
        branch
        for branch, needs in NEEDS.items()
        if not any(themes.closeness(m.theme, branch) > 0 for m in themes.match(needs[language], language, limit=3))
    ]
    assert len(missed) <= 1, missed


def test_most_of_the_themes_found_are_right(themes: Thesaurus) -> None:
    found = [
        themes.closeness(m.theme, branch) > 0
        for branch, needs in NEEDS.items()
        for language, need in needs.items()
        for m in themes.match(need, language, limit=3)
    ]
    assert sum(found) / len(found) > 0.7


def test_every_label_finds_its_own_theme(themes: Thesaurus) -> None:
    """With full strength, in every language; another theme may come first only as an equal."""
    for theme in themes.themes:
        for label in themes.english(theme):
            matches = {m.theme: m.strength for m in themes.match(label, "en")}
            assert matches[theme] == max(matches.values()) == 1.0, label


def test_a_need_in_an_uncertain_language_finds_the_theme_with_less_strength(themes: Thesaurus) -> None:
    certain = themes.match("Logement", "fr")[0]
    uncertain = themes.match("Logement", None)[0]
    assert (certain.theme, uncertain.theme) == ("housing", "housing")
    assert uncertain.strength == pytest.approx(0.7 * certain.strength)


@given(st.text(), st.sampled_from([None, "en", "lv", "und", "xx", "el-GR"]))
@settings(max_examples=200, deadline=None)
def test_any_text_is_matched_within_bounds(text: str, language: str | None) -> None:
    for match in SMALL.match(text, language):
        assert 0 < match.strength <= 1
        assert match.words


def test_a_theme_in_the_hierarchy(themes: Thesaurus) -> None:
    assert themes.ancestors("housing-access") == ("housing",)
    assert "housing-access" in themes.descendants("housing")
    assert themes.closeness("housing-access", "housing-cohousing") == 0.5
    assert themes.closeness("housing-access", "health-access") == 0.0


# ----------------------------------------------------------------------------------------------- matching

SMALL = Thesaurus(
    [
        {"id": "course", "label": {"en": "Formal language courses", "de": "Sprachkurse", "lv": "Valodas kursi"}},
        {"id": "home", "label": {"en": "Housing", "fr": "Logement", "de": "Wohnen"}, "alt": {"fr": ["habitat"]}},
        {"id": "talk", "label": {"en": "Communication", "fr": "Communication"}},
        {"id": "old", "label": {"en": "Barracks"}, "deprecated": True},
    ]
)


def test_all_words_of_a_label_say_more_than_some() -> None:
    whole = SMALL.match("formal courses of the language", "en")[0]
    part = SMALL.match("courses of the language", "en")[0]
    assert whole.strength == 1.0
    assert whole.strength > part.strength > 0
    assert set(part.words) == {"courses", "language"}


def test_one_common_word_of_a_label_is_not_told() -> None:
    assert SMALL.match("a language", "en") == []


@pytest.mark.parametrize(
    ("need", "language", "theme"),
    [
        ("Trūkst valodas kursu", "lv", "course"),
        ("Mehr Sprachkursangebote", "de", "course"),
        ("Zu wenige Wohnungen", "de", "home"),
        ("HABITATS", "fr", "home"),
    ],
)
def test_inflected_and_compound_words_are_found(need: str, language: str, theme: str) -> None:
    assert [m.theme for m in SMALL.match(need, language)] == [theme]


def test_a_word_that_only_shares_its_stem_counts_less() -> None:
    """The French stemmer takes "commune" and "communication" for one word."""
    assert SMALL.match("communications", "fr")[0].strength > 0.8
    assert SMALL.match("notre commune", "fr")[0].strength < 0.6


def test_deprecated_themes_are_not_offered() -> None:
    assert SMALL.match("Barracks", "en") == []
    assert "old" not in SMALL.themes


def test_the_order_of_the_records_changes_nothing() -> None:
    records = [{"id": c, "label": {"en": "Housing policy"}} for c in "dacb"]
    found = [[m.theme for m in Thesaurus(order).match("housing", "en")] for order in (records, records[::-1])]
    assert found == [["a", "b", "c", "d"]] * 2


def test_a_cycle_of_broader_themes_ends() -> None:
    loop = Thesaurus([{"id": "a", "broader": "b"}, {"id": "b", "broader": "a"}, {"id": "c", "broader": "b"}])
    assert set(loop.ancestors("c")) == {"a", "b"}
    assert 0 <= loop.closeness("a", "c") <= 1
    assert loop.closeness("a", "a") == 1.0


def test_unknown_themes_are_near_nothing() -> None:
    assert SMALL.closeness("nowhere", "nowhere") == 0.0
    assert SMALL.english("nowhere") == ()
    assert SMALL.ancestors("nowhere") == ()


# ------------------------------------------------------------------------------------------------- bridge


def test_english_needs_stay_as_they_are(themes: Thesaurus) -> None:
    assert bridge("Housing for refugees", "en", themes) == "Housing for refugees"
    assert bridge("Housing for refugees", "en-GB", themes) == "Housing for refugees"
    assert bridge("Housing", None, themes) == "Housing"


@pytest.mark.parametrize("language", ["fr", "es", "it", "de", "nl", "el", "lv"])
def test_the_bridge_brings_a_need_nearer_to_its_english_meaning(
    themes: Thesaurus,
    language: str,
    embedder: OnnxEmbedder,
) -> None:
    """What it is for: the bundled model reads English; compared with the same need in English."""
    english = embedder.embed([needs["en"] for needs in NEEDS.values()], kind="passage")
    plain = embedder.embed([needs[language] for needs in NEEDS.values()], kind="query")
    bridged = embedder.embed([bridge(needs[language], language, themes) for needs in NEEDS.values()], kind="query")
    assert (bridged * english).sum() > (plain * english).sum() + 0.25


def test_the_bridge_takes_so_many_labels_and_no_more() -> None:
    many = Thesaurus([{"id": f"t{i}", "label": {"en": f"Theme {i}", "fr": f"mot{i}"}} for i in range(20)])
    text = " ".join(f"mot{i}" for i in range(20))
    assert bridge(text, "fr", many, limit=3) == f"{text}. Theme 0. Theme 1. Theme 10"


# -------------------------------------------------------------------------------------------- SKOS files

TURTLE = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
<urn:home> skos:prefLabel "dwelling"@en-GB, "home"@en-US, "mājoklis"@lv, "untagged" ; skos:broader <urn:town> .
<urn:town> skos:prefLabel "town"@en ; skos:altLabel "city"@en ; skos:narrower <urn:street>, <urn:unlabelled> .
<urn:street> skos:prefLabel "street"@en, " "@fr . [] skos:prefLabel "blank"@en ."""


@pytest.mark.parametrize(("name", "form"), [("a.ttl", "turtle"), ("a.nt", "nt"), ("a.rdf", "xml"), ("a.nt.gz", "nt")])
def test_a_skos_file_is_read(tmp_path: Path, name: str, form: str) -> None:
    content = Graph().parse(data=TURTLE, format="turtle").serialize(format=form, encoding="utf-8")
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    read = Thesaurus.from_skos(path)
    assert read.themes == ("urn:home", "urn:street", "urn:town")
    assert read.languages == ("en", "lv")
    assert set(read.english("urn:home")) == {"dwelling", "home"}
    assert read.english("urn:town") == ("town", "city")
    assert read.ancestors("urn:home") == ("urn:town",)
    assert set(read.descendants("urn:town")) == {"urn:home", "urn:street"}
    assert bridge("Mājokļi", "lv", read).startswith("Mājokļi. ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.ttl", b"<urn:a> <urn:b", "cannot be read"),
        ("a.ttl", b"<urn:a> <urn:b> <urn:c> .", "no SKOS concept"),
        ("a.nt.gz", b"not compressed", "cannot be read"),
        ("a.csv", b"id,label", "not a kind of RDF file"),
        ("a", b"", "not a kind of RDF file"),
    ],
)
def test_what_is_no_thesaurus_is_said(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableInput, match=message) as raised:
        Thesaurus.from_skos(tmp_path / name)
    assert str(tmp_path) not in str(raised.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"'none\.ttl' cannot be read"):
        Thesaurus.from_skos(tmp_path / "none.ttl")


def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_LIMIT_BYTES", 1_000_000)
    path = tmp_path / "bomb.nt.gz"
    path.write_bytes(gzip.compress(b"# nothing but this\n" * 200_000))
    with pytest.raises(TooLarge, match=r"'bomb\.nt\.gz' has more than 1 MB"):
        Thesaurus.from_skos(path)


@pytest.mark.skipif(not THESAURI.exists(), reason="the folder with GEMET is not there")
def test_gemet_brings_words_of_other_languages_to_english() -> None:
    gemet = Thesaurus.from_skos(THESAURI / "gemet-labels.nt.gz")
    assert len(gemet.themes) > 5_000
    for need, language, expected in [
        ("Zlepšení čištění odpadních vod ve městě", "cs", "waste water"),
        ("Ochrona powietrza i hałas w mieście", "pl", "noise"),
        ("Razvoj turizma in ravnanje z odpadki", "sl", "tourism"),
        ("Hulladékgazdálkodás a városban", "hu", "waste management"),
    ]:
        added = bridge(need, language, gemet)[len(need) :].lower()
        assert expected in added, (language, added)


def test_a_theme_is_described_by_its_labels_and_by_what_it_covers(themes: Thesaurus) -> None:
    with_note = Thesaurus(
        [{"id": "a", "label": {"fr": "Logement"}, "note": {"en": "Flats."}}, {"id": "b", "label": {}}]
    )
    assert with_note.described("a") == with_note.described("b") == (), "without an English label it cannot be compared"
    assert all(label in themes.english(theme) for theme in themes.themes for label, _ in themes.described(theme))
