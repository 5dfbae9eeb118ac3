"""From a page of free text to separate needs: what each is about, what the text leaves open, and who has experience.

No language model writes here: sentences are grouped by the themes found in them, themes are found by the words of their
labels or by the meaning of the sentence, and the open questions are those for which no word of a listed kind stands in the
text. Everything that comes out can be traced to words of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from kg.errors import BadRequest
from kg.fields import in_language
from kg.matching.reasons import LANGUAGE_NAMES, ROLE_LIMITS
from kg.records import LANGUAGE_TAG
from kg.search.text import as_written, fold, sentences
from kg.search.thesaurus import primary
from kg.search.view import NeedText, SearchView, ThemeMeaning, Understood
from kg.suggesting import need_text

MOST_NEEDS = 12
MOST_SENTENCES = 200
"""Of a longer text the rest is told as not read: a page has about forty."""

SURE = 0.5
"""Strength from which a theme decides where one need ends and the next begins."""

WEAK = 0.5
"""Below this strength of the best label, the help of labels is called weak."""

NEIGHBOURS = 6

Labels = Callable[[Sequence[str]], Mapping[str, str]]
"""What to call themes, by identifier."""


# ------------------------------------------------------------------------------------- cutting the text

_BULLET = re.compile(r"\s*(?:[-–—*•▪‣·]|\(?\d{1,2}[.)]|\(?[a-z]\))\s+")

TEXT, LEAD, POINT = "text", "lead", "point"
"""What a paragraph is: running text, the line that leads a list, or a point of a list of two or more."""


def paragraphs(text: str) -> list[str]:
    """A text's paragraphs: cut at empty lines; each point of a list is one; a short line before a text leads it.

    >>> paragraphs("Housing\\n\\nFlats are dear.\\nRents rise.\\n\\n- Find owners\\n- Train staff")
    ['Housing. Flats are dear. Rents rise.', 'Find owners', 'Train staff']
    """
    return [paragraph for paragraph, _ in _kinds_of_paragraphs(text)]


def _kinds_of_paragraphs(text: str) -> list[tuple[str, str]]:
    """A text's paragraphs, each with its kind: TEXT, LEAD or POINT."""
    found: list[tuple[str, bool]] = []  # with whether a mark of a list stood before it
    lines: list[str] = []
    marked = False

    def close() -> None:
        nonlocal marked
        if lines:
            found.append((" ".join(lines), marked))
            lines.clear()
        marked = False

    for line in text.splitlines():
        if not line.strip():
            close()
        elif (mark := _BULLET.match(line)) and line[mark.end() :].strip():
            close()
            marked = True
            lines.append(line[mark.end() :].strip())
        else:
            lines.append(line.strip())
    close()
    is_list = sum(is_marked for _, is_marked in found) > 1
    joined: list[tuple[str, str]] = []
    heading = ""
    for place, (paragraph, is_marked) in enumerate(found):
        after, leads_list = found[place + 1] if place + 1 < len(found) else ("", False)
        is_heading = len(paragraph) <= 60 and paragraph[-1] not in ".!?…;:,"
        if is_list and is_marked:
            kind = POINT
        elif is_list and leads_list and (is_heading or paragraph[-1] == ":") and len(sentences(paragraph)) == 1:
            kind = LEAD
        elif is_heading and not heading and len(after) > len(paragraph):
            heading = paragraph
            continue
        else:
            kind = TEXT
        joined.append((f"{heading}. {paragraph}" if heading else paragraph, kind))
        heading = ""
    return joined


_OPENINGS: Mapping[str, str] = {
    "bg": "второ трето на_второ_място на_трето_място накрая друг_проблем друга_нужда",
    "cs": "za_druhe za_treti druhym_problemem dalsim_problemem konecne nakonec",
    "da": "for_det_andet for_det_tredje endelig et_andet_problem en_anden_udfordring",
    "de": "zweitens drittens viertens schliesslich zum_zweiten ein_weiteres_problem eine_weitere_sorge "
    "unser_zweites unsere_zweite unser_anderes unsere_andere",
    "el": "δευτερον τριτον τελοσ ενα_αλλο_προβλημα",
    "en": "secondly thirdly fourthly second, third, finally lastly separately our_second our_third our_other our_last "
    "the_second_need the_second_problem the_second_worry the_second_concern the_second_challenge another_need "
    "another_problem another_worry another_concern another_challenge another_difficulty another_priority",
    "es": "en_segundo_lugar en_tercer_lugar por_ultimo finalmente otro_problema "
    "otra_necesidad otra_preocupacion nuestro_segundo nuestra_segunda",
    "et": "teiseks kolmandaks lopuks teine_mure teine_probleem",
    "fi": "toiseksi kolmanneksi lopuksi toinen_ongelma toinen_huoli",
    "fr": "deuxiemement troisiemement quatriemement par_ailleurs enfin un_autre_besoin un_autre_probleme "
    "un_autre_defi une_autre_difficulte une_autre_preoccupation notre_deuxieme notre_second notre_seconde notre_troisieme "
    "notre_autre",
    "ga": "sa_dara_hait ar_an_dara_dul_sios ar_deireadh fadhb_eile riachtanas_eile",
    "hr": "kao_drugo kao_trece drugi_problem konacno na_kraju",
    "hu": "masodszor harmadszor vegul masik_gondunk",
    "it": "in_secondo_luogo in_terzo_luogo infine un_altro_problema un_altro_bisogno un_altra_difficolta "
    "il_nostro_secondo la_nostra_seconda",
    "lt": "antra, trecia, galiausiai pagaliau kita_problema",
    "lv": "otrkart treskart visbeidzot otra_problema cita_problema",
    "mt": "it_tieni it_tielet fl_ahhar_nett fl_ahhar problema_ohra",
    "nl": "ten_tweede ten_derde ten_slotte tenslotte tot_slot een_ander_probleem een_andere_zorg "
    "onze_tweede ons_tweede",
    "pl": "po_drugie po_trzecie wreszcie na_koniec innym_problemem kolejnym_problemem",
    "pt": "em_segundo_lugar em_terceiro_lugar por_ultimo por_fim finalmente outro_problema outra_necessidade",
    "ro": "in_al_doilea_rand in_al_treilea_rand in_cele_din_urma in_sfarsit o_alta_problema",
    "sk": "po_druhe po_tretie nakoniec napokon dalsim_problemom",
    "sl": "drugic tretjic nazadnje koncno druga_tezava",
    "sv": "for_det_andra for_det_tredje slutligen ett_annat_problem en_annan_utmaning",
}
"""Per official language, folded beginnings of sentences that open another point (with _ several words in a row).

They are looked for whatever the language, as few sentences tell theirs by themselves. Those that only add ("moreover")
are left out: what they add mostly belongs to the same need."""

_OPENING = re.compile(
    "(?:"
    + "|".join(re.escape(one).replace("_", r"\W+") for listed in _OPENINGS.values() for one in listed.split())
    + r")(?!\w)"
)


def opens_another(sentence: str) -> bool:
    """Whether a sentence says that another point begins with it.

    >>> opens_another("Par ailleurs, les loyers montent."), opens_another("Po drugie: brak mieszkań."), opens_another("Rents rise.")
    (True, True, False)
    """
    return _OPENING.match(fold(sentence)) is not None


@dataclass
class _Group:
    """Sentences that make one need, and the themes found in them so far."""

    sentences: list[str] = field(default_factory=list)
    themes: list[str] = field(default_factory=list)
    is_need: bool = False


def group_sentences(
    read: Sequence[Sequence[tuple[str, Sequence[str], bool]]],
    closeness: Callable[[str, str], float],
    kinds: Sequence[str] = (),
) -> tuple[list[str], list[str]]:
    """The needs of a text, and what is only background, each as text.

    `read` has, per paragraph, each sentence with the themes that are surely in it and whether it says that something is
    needed or missing. A need ends with its paragraph, before a sentence whose themes are all of another branch than
    those before, or before one that opens another point ("finally", see `opens_another`) and shares no theme with those.
    A group without a theme and without such a word is background. `kinds` has what each paragraph is, TEXT where it is
    not given: a POINT is one need whatever its words, a LEAD is background.

    >>> paragraph = [("Rents rise.", ["housing"], False), ("Families wait.", [], True), ("We lack teachers.", ["school"], True)]
    >>> group_sentences([[("We are a port.", [], False)], paragraph], lambda a, b: float(a == b))
    (['Rents rise. Families wait.', 'We lack teachers.'], ['We are a port.'])
    >>> group_sentences([[("We need:", [], True)], [("Owners refuse.", [], False)]], lambda a, b: 0.0, [LEAD, POINT])
    (['Owners refuse.'], ['We need:'])
    >>> group_sentences([[("Rents rise.", ["housing"], False), ("Finally, neighbours do not meet.", [], False)]], lambda a, b: 0.0)
    (['Rents rise.', 'Finally, neighbours do not meet.'], [])
    """
    groups: list[_Group] = []
    for paragraph, kind in zip(read, kinds or [TEXT] * len(read), strict=True):
        group = _Group()
        for sentence, themes, needed in paragraph:
            apart = group.themes and themes and all(closeness(a, b) == 0.0 for a in themes for b in group.themes)
            another = bool(group.sentences) and opens_another(sentence) and not set(themes).intersection(group.themes)
            if (apart or another) and kind == TEXT:
                group.is_need = group.is_need or another  # there is a first where there is a second
                groups.append(group)
                group = _Group()
            group.sentences.append(sentence)
            group.themes += themes
            group.is_need = kind == POINT or (kind == TEXT and (group.is_need or needed or bool(themes) or another))
        groups.append(group)
    written = [(" ".join(group.sentences), group.is_need) for group in groups if group.sentences]
    if not any(is_need for _, is_need in written):
        # A text in which nothing was recognised is taken at its word: somebody wrote it as a need.
        return [text for text, _ in written], []
    return [text for text, is_need in written if is_need], [text for text, is_need in written if not is_need]


# --------------------------------------------------------------------------- what a text says and leaves open

QUESTIONS: Mapping[str, Mapping[str, str]] = {
    "who": {
        "en": "Who is it about: which people, about how many, and since when have they been there?",
        "fr": "De qui s’agit-il : quelles personnes, combien environ, et depuis quand sont-elles là ?",
    },
    "since": {
        "en": "Since when has it been so, and what changed then?",
        "fr": "Depuis quand en est-il ainsi, et qu’est-ce qui a changé alors ?",
    },
    "tried": {
        "en": "What has been tried already, and what came of it?",
        "fr": "Qu’a-t-on déjà essayé, et qu’en est-il resté ?",
    },
    "success": {
        "en": "What would people be able to do afterwards, and how would you notice that it has worked?",
        "fr": "Que pourraient faire les gens ensuite, et à quoi verriez-vous que cela a réussi ?",
    },
}
NARROWER = {
    "en": "Is it more about one part of this: {themes}?",
    "fr": "S’agit-il plutôt d’une partie de cela : {themes} ?",
}

_CUES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "who": "refugee* asylum migrant* immigrant* newcomer* women woman girl* child* pupil* student* parent* mother* "
        "father* famil* young youth elderly older senior* minors neighbour neighbours roma employer* worker* "
        "unemployed homeless volunteer* staff tenants foreign* disabled new_residents older_residents residents_who "
        "residents_from residents_with residents_without residents_aged residents_over residents_under",
        "since": "since years months recently lately decade* ago",
        "tried": "tried attempt* pilot* already launched tested introduced failed previous* experiment* so_far until_now",
        "success": "so_that success* goal* aim* objective* target* should_be_able would_be_able in_order_to percent",
        "need": "need* lack* want* wish* problem* difficult* struggl* missing improve help challenge* looking_for cannot "
        "too shortage* barrier* unable hard would_like must",
    },
    "fr": {
        "who": "refugi* demandeur* migrant* immigr* arrivant* femme* fille* enfant* eleve* etudiant* parent* mere* pere* "
        "famill* jeune* age agee ages agees senior* mineur* voisin voisins voisine voisines rom roms employeur* salarie* chomeur* benevole* agents "
        "locataires etrang* handicap* nouveaux_habitants habitants_qui habitants_venus habitants_issus habitants_ages "
        "habitants_sans habitants_d_origine",
        "since": "depuis ans annees mois recemment dernierement il_y_a",
        "tried": "essay* tente* tentativ* experiment* deja pilote* lance* echou* jusqu_ici jusqu_a_present mis_en_place",
        "success": "afin_que pour_que objectif* but reussi* succes puissent puisse devraient_pouvoir d_ici pour_cent",
        "need": "besoin* manqu* voul* voudr* souhait* probleme* difficil* difficult* ameliorer aider defi* cherch* trop "
        "penurie* obstacle* faut doit doivent",
    },
    "es": {
        "who": "refugiad* solicitante* migrante* inmigrante* recien_llegad* mujer* nina* nino* nin* alumn* estudiante* "
        "padres madre* famili* joven* mayores menores vecin* habitante* gitan* empleador* trabajador* desemplead* voluntari*",
        "since": "desde hace anos meses recientemente ultimamente",
        "tried": "intent* probado piloto* ya lanzado experiment* fracas* hasta_ahora",
        "success": "para_que objetivo* meta* exito* puedan lograr resultado*",
        "need": "necesit* necesidad* falta* quer* dese* problema* dificil* dificult* mejorar ayudar reto* buscamos "
        "demasiad* escasez barrera* carece*",
    },
    "it": {
        "who": "rifugiat* richiedent* migrant* immigrat* nuovi_arrivati donn* ragazz* bambin* alunn* student* genitor* "
        "madr* padr* famigl* giovan* anzian* minori abitant* vicin* rom datori lavorator* disoccupat* volontar*",
        "since": "da_anni da_mesi dal anni mesi recentemente ultimamente",
        "tried": "provato tentat* pilota gia avviato sperimenta* fallit* finora",
        "success": "affinche obiettiv* successo possano risultat* cosi_che entro_il",
        "need": "bisogn* serv* manca* vogliamo vorremmo desider* problem* difficil* difficolt* migliorare aiutare sfid* "
        "cerchiamo tropp* carenz* ostacol*",
    },
    "de": {
        "who": "fluchtling* gefluchtet* asyl* migrant* zugewandert* neuankomm* frauen frau madchen kind* schuler* studier* "
        "eltern mutter* vater* famili* jung* jugend* alter* senior* minderjahrig* bewohner* einwohner* nachbar* roma "
        "arbeitgeber* arbeiter* arbeitslos* obdachlos* ehrenamtlich* freiwillig* beschaftigt*",
        "since": "seit jahren monaten jahre kurzlich jungst",
        "tried": "versuch* pilot* bereits schon erprobt eingefuhrt gescheitert bisher getestet",
        "success": "damit ziel* erfolg* sollen_konnen ergebnis* sodass",
        "need": "brauch* fehl* mangel* wollen wunsch* problem* schwierig* verbesser* helfen herausforderung* suchen zu_wenig "
        "zu_lang* hurde* kaum muss* mochten",
    },
    "nl": {
        "who": "vluchteling* asiel* migrant* nieuwkomer* vrouwen vrouw meisje* kind* leerling* student* ouder* moeder* "
        "vader* gezin* famili* jong* jeugd* senior* minderjarig* bewoner* inwoner* buren roma werkgever* werknemer* "
        "werkloz* dakloz* vrijwillig*",
        "since": "sinds sedert jaren maanden jaar onlangs recent",
        "tried": "geprobeerd poging* pilot* proef* al reeds ingevoerd mislukt tot_nu_toe getest",
        "success": "zodat doel* succes* resultat* opdat",
        "need": "nodig gebrek* ontbreek* willen wens* problem* moeilijk* verbeter* helpen uitdaging* zoeken te_weinig "
        "te_lang tekort* drempel* moet*",
    },
    "el": {
        "who": "προσφυγ* ασυλο* μεταναστ* νεοαφιχθ* γυναικ* κοριτσ* παιδι* μαθητ* φοιτητ* γονει* γονεισ μητερ* οικογεν* "
        "νεοι νεων νεουσ ηλικιωμεν* ανηλικ* κατοικ* γειτον* ρομα εργοδοτ* εργαζομεν* ανεργ* εθελοντ*",
        "since": "απο_το χρονια μηνεσ ετη προσφατα εδω_και",
        "tried": "δοκιμασ* προσπαθ* πιλοτικ* ηδη ξεκινησ* απετυχ* μεχρι_τωρα",
        "success": "ωστε στοχ* επιτυχ* να_μπορουν αποτελεσμ*",
        "need": "χρειαζ* αναγκ* λειπ* ελλειψ* θελουμε επιθυμ* προβλημ* δυσκολ* βελτιω* βοηθησ* προκλησ* αναζητ* πολυ "
        "εμποδι* πρεπει",
    },
    "lv": {
        "who": "begl* patverum* migrant* imigrant* iebrauc* jaunpienac* sieviet* meiten* bern* skolen* student* vecak* "
        "mat* tev* gimen* jauni* senior* nepilngadig* iedzivotaj* kaimin* romi darba_dev* darbiniek* bezdarb* brivpratig*",
        "since": "kops gadiem gadu gadus menes* nesen pedej*",
        "tried": "megin* izmegin* pilot* jau uzsak* ieviest* neizdev* lidz_sim",
        "success": "lai merk* panak* rezultat* spetu varetu",
        "need": "vajag* vajadz* trukst* trukum* vel* problem* grut* uzlab* palidz* izaicin* mekle* par_maz skers* nav",
    },
}
"""Per language, folded words (with * their beginnings, with _ several in a row) that tell who a need is about, since when,
what was tried, what success would be, and that something is needed. Written by hand for the languages of the theme labels;
they find that something is said, not what."""

_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_PER_CENT = re.compile(r"\d\s?%")


_ASIDE: Mapping[str, Mapping[str, re.Pattern[str]]] = {
    "en": {
        "since": re.compile(
            r"\b(?:by|until|till|before)\s+(?:the\s+)?(?:(?:end|middle|beginning|start)\s+of\s+)?(?:19|20)\d\d"
            r"|\bwithin\s+(?:\w+\s+){0,3}?(?:years|months|decade)\b"
            r"|\b(?:next|coming|following)\s+(?:\w+\s+){0,2}?(?:years|months|decades?)\b"
            r"|\b\d+\s+years\s+old\b"
        ),
        "success": re.compile(
            r"\b(?:without|little|no|not|any|limited|some|mixed|partial|modest|moderate|great|much|less|good)"
            r"(?:\s+(?:real|lasting|great|much))?\s+success\w*"
            r"|\b(?:was|were|has\s+been|have\s+been|had\s+been)\s+(?:\w+\s+){0,3}?success\w*"
        ),
    },
    "fr": {
        "since": re.compile(
            r"\b(?:d\W?ici|avant|jusqu\W?en|pour|horizon)\s+(?:a\s+|en\s+)?(?:la\s+)?"
            r"(?:(?:fin|mi|debut)\W(?:(?:de\s+)?l\W?annee\s+|de\s+)?)?(?:19|20)\d\d"
            r"|\b(?:d\W?ici|dans\s+les)\s+(?:\w+\s+){0,3}?(?:ans|annees|mois)\b"
            r"|\bprochain\w*\s+(?:annees|mois)\b"
            r"|\b(?:ages?\s+de|agees?\s+de|entre)\s+\d+\s+(?:(?:a|et)\s+\d+\s+)?ans\b"
        ),
        "success": re.compile(
            r"\b(?:sans|avec|peu|aucun|pas|guere|beaucoup|plus|moins)(?:\s+(?:de|un|grand|vrai|peu))*\W+(?:succes|reussite)\b"
            r"|\b(?:a|ont|avons|avait|avaient)(?:\s+(?:pas|jamais|guere|bien|peu|mal))?\s+reussi\w*"
            r"|\b(?:ete|etait|etaient|fut)\s+(?:\w+\s+){0,2}?(?:succes|reussi\w*)"
        ),
    },
}
"""Folded turns of phrase that hold a word of a kind and do not answer its question: until when something is to be reached,
an age, and what came of what was tried."""


@cache
def _cues(language: str, code: str) -> re.Pattern[str] | None:
    """A pattern over folded text for one kind of words."""
    listed = _CUES.get(language, {}).get(code, "").split()
    if not listed:
        return None
    parts = (re.escape(one.rstrip("*")).replace("_", r"\W+") + (r"\w*" if one.endswith("*") else "") for one in listed)
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)")


def said(text: str, language: str, code: str) -> str | None:
    """The first words of a text that answer a question of `QUESTIONS` (or say that something is needed: "need").

    None where there are none, and for a language whose words are not listed, in which only a year and a percentage tell.

    >>> said("Seit 2015 kommen viele Familien", "de", "who"), said("Seit 2015 kommen viele Familien", "de", "since")
    ('familien', 'seit')
    >>> said("Od 2015 roku", "pl", "since"), said("Od 2015 roku", "pl", "tried")
    ('2015', None)
    """
    spoken = primary(language)
    pattern = _cues(spoken, code)
    aside = _ASIDE.get(spoken, {}).get(code)
    folded = " ".join(aside.sub(" ", one) if aside else one for one in map(fold, sentences(text)))
    found = pattern.search(folded) if pattern else None
    if found is None and code == "since":
        found = _YEAR.search(folded)
    if found is None and code == "success":
        found = _PER_CENT.search(folded)
    return found[0] if found else None


def is_checked(language: str) -> bool:
    """Whether words that answer the questions are listed for a language; in others the questions are all asked.

    >>> is_checked("lv"), is_checked("pl")
    (True, False)
    """
    return primary(language) in _CUES


# ------------------------------------------------------------------------------------------- the analysis


def analyse_needs(
    text: str, view: SearchView, labels: Labels, *, language: str | None = None, answer_in: str = "en"
) -> dict[str, Any]:
    """The needs in a text, each with candidate themes, open questions and how many cities have experience.

    `language` is that of the text where it is known. Sentences are in `answer_in` ("en" or "fr").

    Raises BadRequest for an empty text, control characters or a language tag that is none, TooLarge over 20,000
    characters.
    """
    whole = need_text(text, "text")
    if language is not None and not LANGUAGE_TAG.fullmatch(language):
        raise BadRequest(
            {
                "en": "language: give a language tag such as 'lv' or 'fr'",
                "fr": "language : donnez un code de langue tel que 'lv' ou 'fr'",
            }
        )
    cut, kinds, left_out = _sentences(whole)
    understood = [[view.understand(NeedText(one, language)) for one in some] for some in cut]
    read = [[(one.text, _sure_themes(one), _says_need(one)) for one in some] for some in understood]
    found, context = group_sentences(read, view.thesaurus.closeness, kinds)
    needs, rest = found[:MOST_NEEDS], [*found[MOST_NEEDS:], *left_out]
    kept = [view.understand(NeedText(one, language)) for one in needs]
    meanings = view.themes_by_meaning(kept)
    experience = view.cities_by_theme()
    background = " ".join(context)
    named = _Named(view, labels, experience)
    return {
        "needs": [_told(one, near, background, named, answer_in) for one, near in zip(kept, meanings, strict=True)],
        "context": context,
        "left_out": rest,
        "cities": view.count_cities(),
        "role_limits": in_language(ROLE_LIMITS, answer_in),
        "model": view.embedder.identity,
    }


def _sentences(text: str) -> tuple[list[list[str]], list[str], list[str]]:
    """The sentences of each paragraph, at most 200 in all, what each paragraph is, and those left out for that."""
    cut: list[list[str]] = []
    kinds: list[str] = []
    rest: list[tuple[str, str]] = []
    count = 0
    for paragraph, kind in _kinds_of_paragraphs(text):
        some = sentences(paragraph)
        if count + len(some) > MOST_SENTENCES:
            rest.append((paragraph, kind))
            continue
        count += len(some)
        cut.append(some)
        kinds.append(kind)
    left_out = [paragraph for paragraph, _ in rest]
    if not cut and rest:
        # One paragraph of hundreds of sentences: its beginning is read.
        some = sentences(left_out[0])
        return [some[:MOST_SENTENCES]], [rest[0][1]], [" ".join(some[MOST_SENTENCES:]), *left_out[1:]]
    return cut, kinds, left_out


def _sure_themes(understood: Understood) -> list[str]:
    return [match.theme for match in understood.themes if match.strength >= SURE]


def _says_need(understood: Understood) -> bool:
    return said(understood.text, understood.language, "need") is not None


@dataclass
class _Named:
    """Themes as answers show them."""

    view: SearchView
    labels: Labels
    experience: Mapping[str, int]

    def themes(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """Themes with their words and the number of cities that have practices on them, narrower ones included."""
        listed = list(dict.fromkeys(ids))
        words = self.labels(listed)
        return [{"id": id, "label": words.get(id, id), "cities": self.experience.get(id, 0)} for id in listed]


def _told(
    understood: Understood, meanings: Sequence[ThemeMeaning], background: str, named: _Named, language: str
) -> dict[str, Any]:
    """One need, as the answer has it."""
    themes = [
        {
            **named.themes([match.theme])[0],
            "strength": round(match.strength, 3),
            "basis": "vocabulary" if match.vocabulary else "words",
            "words": [as_written(understood.text, word) for word in dict.fromkeys(match.words)],
            "through": {"label": match.label, "language": match.language, "vocabulary": match.vocabulary or "themes"},
            **_around(match.theme, named),
        }
        for match in understood.themes
    ]
    known = {match.theme for match in understood.themes}
    themes += [
        {
            **named.themes([near.theme])[0],
            "strength": round(near.similarity, 3),
            "basis": "meaning",
            "words": [],
            "through": {"label": near.label, "language": "en", "vocabulary": "themes"},
            **_around(near.theme, named),
        }
        for near in meanings
        if near.theme not in known
    ]
    answered = {
        code: as_written(text, words)
        for code in QUESTIONS
        for text in (background, understood.text)  # what the need itself says goes before
        if (words := said(text, understood.language, code))
    }
    return {
        "text": understood.text,
        "language": understood.language,
        "language_certain": understood.certain,
        "understood": understood_json(understood, language),
        "themes": themes,
        "answered": [{"code": code, "words": words} for code, words in answered.items()],
        "questions": _questions(answered, themes, language),
        "questions_checked": is_checked(understood.language),
    }


def _around(theme: str, named: _Named) -> dict[str, Any]:
    """Where one may walk from a theme."""
    thesaurus = named.view.thesaurus
    return {
        "broader": named.themes(thesaurus.parents(theme)),
        "narrower": named.themes(thesaurus.children(theme)),
        "neighbours": sorted(
            named.themes(thesaurus.neighbours(theme)), key=lambda one: (-int(one["cities"]), str(one["id"]))
        )[:NEIGHBOURS],
    }


def _questions(answered: Mapping[str, str], themes: Sequence[Mapping[str, Any]], language: str) -> list[dict[str, Any]]:
    """What the text leaves open, and, where its strongest theme has parts and none was found, which part."""
    asked: list[dict[str, Any]] = [
        {"code": code, "text": in_language(text, language)} for code, text in QUESTIONS.items() if code not in answered
    ]
    found = {theme["id"] for theme in themes}
    parts = themes[0]["narrower"] if themes else []
    if parts and not found.intersection(part["id"] for part in parts):
        listed = ", ".join(part["label"] for part in parts[:NEIGHBOURS])
        text = in_language(NARROWER, language).format(themes=listed)
        asked.append({"code": "narrower", "text": text, "themes": [part["id"] for part in parts]})
    return asked


# ----------------------------------------------------------------------------- what help a need was read with

_READ_BY: Mapping[str, Mapping[str, str]] = {
    "model": {
        "en": "The model reads {language} itself.",
        "fr": "Le modèle lit lui-même cette langue ({language}).",
    },
    "label": {
        "en": "The model reads English; one English label of what the text names was put behind it ({vocabularies}).",
        "fr": "Le modèle lit l’anglais ; un libellé anglais de ce que le texte nomme lui a été ajouté ({vocabularies}).",
    },
    "labels": {
        "en": "The model reads English; {count} English labels of what the text names were put behind it ({vocabularies}).",
        "fr": "Le modèle lit l’anglais ; {count} libellés anglais de ce que le texte nomme lui ont été ajoutés "
        "({vocabularies}).",
    },
    "words": {
        "en": "The model reads English; only words that look alike can help here.",
        "fr": "Le modèle lit l’anglais ; seuls des mots qui se ressemblent peuvent aider ici.",
    },
}
_OUR_THEMES: Mapping[str, str] = {"en": "our themes", "fr": "nos thèmes"}
_WARNINGS: Mapping[str, Mapping[str, str]] = {
    "language-uncertain": {
        "en": "The language is a guess. A longer text helps, or say which language it is.",
        "fr": "La langue est devinée. Un texte plus long aide, ou indiquez la langue.",
    },
    "language-without-labels": {
        "en": "No vocabulary here has labels in {language}, and the model does not read it: expect little. A thesaurus with "
        "that language (`mentorgraph load --thesaurus FILE`) or a multilingual model (`mentorgraph model prepare "
        "intfloat/multilingual-e5-small`) would help; so does the need in English.",
        "fr": "Aucun vocabulaire chargé n’a de libellés dans cette langue ({language}), et le modèle ne la lit pas : attendez "
        "peu. Un thésaurus qui l’a (`mentorgraph load --thesaurus FICHIER`) ou un modèle multilingue (`mentorgraph model "
        "prepare intfloat/multilingual-e5-small`) aiderait ; le besoin en anglais aussi.",
    },
    "nothing-matched": {
        "en": "No label of a vocabulary was found in the text, and the model does not read {language}. Name the subject in "
        "plain words, or write in English.",
        "fr": "Aucun libellé de vocabulaire n’a été trouvé dans le texte, et le modèle ne lit pas cette langue ({language}). "
        "Nommez le sujet en mots simples, ou écrivez en anglais.",
    },
    "far-from-records": {
        "en": "None of the practices looked through is close to this in meaning; what is shown, if anything, shares single words with it. "
        "Say it in other words, or take it as a sign that nobody has recorded such experience yet.",
        "fr": "Aucune des pratiques parcourues n’en est proche par le sens ; ce qui est montré, le cas échéant, n’a que des mots isolés en "
        "commun. "
        "Dites-le autrement, ou voyez-y le signe que personne n’a encore documenté une telle expérience.",
    },
    "model-not-multilingual": {
        "en": "What was found rests on few words of the text: the model does not read {language}.",
        "fr": "Ce qui a été trouvé repose sur peu de mots du texte : le modèle ne lit pas cette langue ({language}).",
    },
}


def _in_words(tag: str) -> Mapping[str, str]:
    """What a language without a name of ours is called; its tag where nobody has a name for it.

    >>> _in_words("ar")["fr"], _in_words("und-x")["en"]
    ('arabe', 'und-x')
    """
    from babel import Locale

    return {language: Locale(language).languages.get(tag, tag) for language in ("en", "fr")}


def understood_json(understood: Understood, language: str, *, heard: bool = True) -> dict[str, Any]:
    """What a need was read with, in JSON: `by` ("model", "labels" or "words"), the labels with their vocabularies, a
    sentence in `language`, and warnings where the help is weak or, not `heard`, no practice is close in meaning."""
    helped = understood.help
    by = "model" if helped.model else ("labels" if helped.labels else "words")
    names = dict.fromkeys(vocabulary or "themes" for _, vocabulary in helped.labels)
    names |= dict.fromkeys(match.vocabulary or "themes" for match in understood.themes)
    tag = primary(understood.language)
    spoken = in_language(LANGUAGE_NAMES.get(tag) or _in_words(tag), language)
    said_names = ", ".join(in_language(_OUR_THEMES, language) if name == "themes" else name for name in names)
    shown = {"language": spoken, "count": len(helped.labels), "vocabularies": said_names}
    sentence = "label" if by == "labels" and len(helped.labels) == 1 else by
    return {
        "by": by,
        "vocabularies": list(names),
        "labels": [{"label": label, "vocabulary": name or "themes"} for label, name in helped.labels],
        "text": in_language(_READ_BY[sentence], language).format(**shown),
        "warnings": [
            {"code": code, "text": in_language(_WARNINGS[code], language).format(**shown)}
            for code in [*_weak(understood), *([] if heard else ["far-from-records"])]
        ],
    }


def _weak(understood: Understood) -> list[str]:
    """Codes of what makes the help weak."""
    codes = [] if understood.certain else ["language-uncertain"]
    helped = understood.help
    if helped.model:
        return codes
    if not helped.vocabularies:
        return [*codes, "language-without-labels"]
    if not helped.labels and not understood.themes:
        return [*codes, "nothing-matched"]
    return [*codes, "model-not-multilingual"] if helped.strongest < WEAK else codes
