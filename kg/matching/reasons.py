"""Every sentence that a suggestion says, in English and French. Nothing is decided here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from kg.matching.facts import CityFacts, Mentee, Names, PracticeFacts, Unknown

LANGUAGES = ("en", "fr")

ROLE_LIMITS: Names = {
    "en": (
        "A mentor city accompanies: its people listen, ask, share what they have lived through, give ideas and honest "
        "comment. They do not give professional or legal advice, do not decide for the mentee and do not answer for "
        "the result. This tool proposes from what is on record; people choose."
    ),
    "fr": (
        "Une ville mentore accompagne : son équipe écoute, interroge, partage son vécu, donne des idées et un avis "
        "sincère. Elle ne donne pas de conseil professionnel ou juridique, ne décide pas à la place de la ville "
        "accompagnée et ne répond pas du résultat. Cet outil propose à partir de ce qui est documenté ; "
        "ce sont les personnes qui choisissent."
    ),
}
"""What a mentor does and does not do; stands under every answer."""

FACTOR_LABELS: Mapping[str, Names] = {
    "relevance": {"en": "Answers the need", "fr": "Répond au besoin"},
    "experience": {"en": "Experience", "fr": "Expérience"},
    "gap": {"en": "Difference in experience", "fr": "Écart d’expérience"},
    "context": {"en": "Similar context", "fr": "Contexte semblable"},
    "language": {"en": "Shared language", "fr": "Langue commune"},
    "capacity": {"en": "Availability", "fr": "Disponibilité"},
    "trust": {"en": "Existing ties", "fr": "Liens existants"},
    "evidence": {"en": "Evidence", "fr": "Éléments de preuve"},
    "freshness": {"en": "How recent", "fr": "Actualité"},
    "transferability": {"en": "Told for transfer", "fr": "Éléments de transfert"},
}

BAND_LABELS: Mapping[str, Names] = {
    "strong": {"en": "strong suggestion", "fr": "suggestion forte"},
    "good": {"en": "good suggestion", "fr": "bonne suggestion"},
    "possible": {"en": "possible suggestion", "fr": "suggestion possible"},
    "weak": {"en": "weak suggestion", "fr": "suggestion faible"},
}

EVIDENCE_LABELS: Mapping[str, Names] = {
    "independent-evaluation": {"en": "an independent evaluation", "fr": "une évaluation indépendante"},
    "outcome-counts": {"en": "counted outcomes", "fr": "des résultats chiffrés"},
    "label-or-award": {"en": "a label or award", "fr": "un label ou un prix"},
    "activity-counts": {"en": "counted activities", "fr": "des activités chiffrées"},
    "none": {"en": "none, as the record says", "fr": "aucun, selon la fiche"},
}

LANGUAGE_NAMES: Mapping[str, Names] = {
    code: {"en": english, "fr": french}
    for code, english, french in (
        ("bg", "Bulgarian", "bulgare"),
        ("ca", "Catalan", "catalan"),
        ("cs", "Czech", "tchèque"),
        ("da", "Danish", "danois"),
        ("de", "German", "allemand"),
        ("el", "Greek", "grec"),
        ("en", "English", "anglais"),
        ("es", "Spanish", "espagnol"),
        ("et", "Estonian", "estonien"),
        ("eu", "Basque", "basque"),
        ("fi", "Finnish", "finnois"),
        ("fr", "French", "français"),
        ("ga", "Irish", "irlandais"),
        ("gl", "Galician", "galicien"),
        ("hr", "Croatian", "croate"),
        ("hu", "Hungarian", "hongrois"),
        ("is", "Icelandic", "islandais"),
        ("it", "Italian", "italien"),
        ("lb", "Luxembourgish", "luxembourgeois"),
        ("lt", "Lithuanian", "lituanien"),
        ("lv", "Latvian", "letton"),
        ("mt", "Maltese", "maltais"),
        ("nl", "Dutch", "néerlandais"),
        ("no", "Norwegian", "norvégien"),
        ("nb", "Norwegian", "norvégien"),
        ("pl", "Polish", "polonais"),
        ("pt", "Portuguese", "portugais"),
        ("ro", "Romanian", "roumain"),
        ("sk", "Slovak", "slovaque"),
        ("sl", "Slovenian", "slovène"),
        ("sr", "Serbian", "serbe"),
        ("sv", "Swedish", "suédois"),
        ("tr", "Turkish", "turc"),
        ("uk", "Ukrainian", "ukrainien"),
    )
}

_UNNAMED: Names = {"en": "the mentee city", "fr": "la ville accompagnée"}
_LEVELS = (
    (0.6, {"en": "strong", "fr": "forte"}),
    (0.4, {"en": "solid", "fr": "solide"}),
    (0.2, {"en": "some", "fr": "partielle"}),
    (0.0, {"en": "little", "fr": "faible"}),
)


def in_language(names: Names, language: str) -> str:
    """A text in a language; where that is missing in English, else in any language.

    >>> in_language({"en": "Athens", "el": "Αθήνα"}, "fr")
    'Athens'
    """
    return names.get(language) or names.get("en") or next(iter(names.values()), "")


def inhabitants(number: int, language: str) -> str:
    """A population as people say it: three significant digits, grouped as the language does.

    >>> inhabitants(194_886, "en"), inhabitants(87_000, "fr")
    ('195,000', '87\\u202f000')
    """
    digits = max(0, len(str(number)) - 3)
    rounded = round(number, -digits)
    return f"{rounded:,}".replace(",", "\u202f" if language == "fr" else ",")


def times(ratio: float, language: str) -> str:
    """A ratio to one decimal, without it when it is 0 or the ratio is 20 or more.

    >>> times(7.565, "en"), times(7.565, "fr"), times(2.0, "en"), times(57.5, "fr")
    ('7.6', '7,6', '2', '58')
    """
    text = f"{ratio:.0f}" if ratio >= 20 else f"{ratio:.1f}".removesuffix(".0")
    return text.replace(".", ",") if language == "fr" else text


def decimal(number: float, digits: int, language: str, *, signed: bool = False) -> str:
    """A figure to some decimals, with the language's sign for them; what rounds to nothing is 0, without a sign.

    >>> decimal(0.4251, 2, "fr"), decimal(0.125, 3, "en", signed=True), decimal(-0.0004, 3, "fr", signed=True)
    ('0,43', '+0.125', '0')
    """
    text = f"{number:{'+' if signed else ''}.{digits}f}" if round(number, digits) else "0"
    return text.replace(".", ",") if language == "fr" else text


def of(name: str) -> str:
    """French "de" before a name.

    >>> of("Capaci"), of("Athènes"), of("Le Havre"), of("la Ville de Bruxelles")
    ('de Capaci', 'd’Athènes', 'du Havre', 'de la Ville de Bruxelles')
    """
    for article, joined_with in (("Le ", "du "), ("Les ", "des ")):
        if name.startswith(article):
            return joined_with + name.removeprefix(article)
    return f"d’{name}" if name[:1].casefold() in "aàâeéèêëiîïoôuûœ" and name else f"de {name}"


def to(name: str) -> str:
    """French "à" before a name.

    >>> to("Capaci"), to("Le Havre"), to("la Ville de Bruxelles")
    ('à Capaci', 'au Havre', 'à la Ville de Bruxelles')
    """
    for article, joined_with in (("Le ", "au "), ("Les ", "aux ")):
        if name.startswith(article):
            return joined_with + name.removeprefix(article)
    return f"à {name}"


def listed(texts: Sequence[str], language: str) -> str:
    """Texts joined as a sentence joins them.

    >>> listed(["a", "b", "c"], "en"), listed(["a", "b"], "fr")
    ('a, b and c', 'a et b')
    """
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {'et' if language == 'fr' else 'and'} {texts[-1]}"


def quoted_title(title: Names, language: str) -> str:
    """A practice's title between the language's quotation marks.

    >>> quoted_title({"en": "Buddies"}, "fr")
    '«\\xa0Buddies\\xa0»'
    """
    text = in_language(title, language)
    return f"«\u00a0{text}\u00a0»" if language == "fr" else f"“{text}”"


def spaced(text: str) -> str:
    """A text in French with spaces that hold before its double signs and inside its quotation marks.

    A line must not begin with ";" nor end with "«". Other languages have no space there, so a text in one stays as it is.

    >>> spaced("Besoin 1 : « Duos » ; rien d’autre ?")
    'Besoin 1\xa0: «\xa0Duos\xa0»\u202f; rien d’autre\u202f?'
    """
    held = re.sub(r" (?=[:»](?!\S))|(?<=«) | (?=»)", "\u00a0", text)
    return re.sub(r" (?=[;!?](?!\S))", "\u202f", held)


def _said(sentence: Callable[[str], str]) -> Names:
    return {language: sentence(language) for language in LANGUAGES}


def joined(parts: Sequence[Names]) -> Names:
    """Sentences one after the other."""
    return _said(lambda language: " ".join(part[language] for part in parts))


def name_of(city: CityFacts | Mentee | None, language: str) -> str:
    """What sentences call a city, inside a sentence; a mentee without a name is "the mentee city".

    >>> name_of(None, "fr"), name_of(Mentee({"en": "City of Brussels"}), "en")
    ('la ville accompagnée', 'the City of Brussels')
    """
    return with_article(in_language(city.name if city and city.name else _UNNAMED, language), language)


def with_article(name: str, language: str) -> str:
    """A name as it stands inside a sentence.

    >>> with_article("Ville de Bruxelles", "fr"), with_article("Ghent", "en")
    ('la Ville de Bruxelles', 'Ghent')
    """
    article, kinds = ("la", _KINDS_OF_PLACE["fr"]) if language == "fr" else ("the", _KINDS_OF_PLACE["en"])
    return f"{article} {name}" if name.startswith(kinds) else name


_KINDS_OF_PLACE = {
    "en": ("City of ", "Town of ", "Municipality of "),
    "fr": ("Ville de ", "Ville d’", "Commune de ", "Commune d’", "Municipalité de ", "Municipalité d’"),
}
"""Names that begin with what the place is have an article in a sentence."""


def opening(sentence: str) -> str:
    """A sentence with a capital at its beginning."""
    return sentence[:1].upper() + sentence[1:]


# What speaks for or against, one function per factor


def relevance(found: Sequence[tuple[Names | None, int]], distant: bool = False) -> Names:
    """Per need the title of the closest practice (None: nothing found) and how many were found.

    `distant` says that even the closest ones only touch on the need.
    """
    parts = [_one_need(title, number, distant) for title, number in found]
    if len(parts) == 1:
        return parts[0]
    return joined(
        [{"en": f"Need {n}: {part['en']}", "fr": f"Besoin {n} : {part['fr']}"} for n, part in enumerate(parts, 1)]
    )


def _one_need(title: Names | None, number: int, distant: bool) -> Names:
    if title is None:
        return {"en": "Nothing on record was found.", "fr": "Rien de documenté n’a été trouvé."}
    more = number - 1
    en = f"{quoted_title(title, 'en')} is its closest practice" + (", and only touches on the need" if distant else "")
    fr = f"{quoted_title(title, 'fr')} est sa pratique la plus proche" + (
        ", et ne touche au besoin que de loin" if distant else ""
    )
    if more == 0:
        return {"en": en + ".", "fr": fr + "."}
    plural = more > 1
    return {
        "en": f"{en}; {more} more {'were' if plural else 'was'} found.",
        "fr": f"{fr} ; {more} {'autres ont été trouvées' if plural else 'autre a été trouvée'}.",
    }


def experience(level: float, practices: int, evidence: str | None, year: int | None, stated: bool) -> Names:
    """How much experience, from how many practices, with what best evidence, last known alive when."""
    words = next(words for least, words in _LEVELS if level >= least)
    en = [f"Experience in this field: {words['en']}"]
    fr = [f"Expérience dans ce domaine : {words['fr']}"]
    if practices:
        plural = "s" if practices > 1 else ""
        en[0] += f", from {practices} practice{plural} on record"
        fr[0] += f", d’après {practices} pratique{plural} documentée{plural}"
    if stated:
        en.append("the city is stated to be experienced")
        fr.append("l’expérience de la ville fait l’objet d’une déclaration")
    if evidence:
        en.append(f"best evidence: {EVIDENCE_LABELS.get(evidence, {}).get('en', evidence)}")
        fr.append(f"meilleur élément de preuve : {EVIDENCE_LABELS.get(evidence, {}).get('fr', evidence)}")
    if year is not None:
        en.append(f"last known to be active in {year}")
        fr.append(f"dernière activité connue en {year}")
    return {"en": "; ".join(en) + ".", "fr": " ; ".join(fr) + "."}


def gap(value: float, mentee: Mentee | None) -> Names:
    """How far the mentor's experience exceeds the mentee's."""
    if value == 0:
        en, fr = "no more experience on record", "n’a pas davantage d’expérience attestée"
    elif value >= 0.75:
        en, fr = "clearly more experience on record", "a une expérience attestée nettement plus grande"
    else:
        en, fr = "somewhat more experience on record", "a une expérience attestée un peu plus grande"
    return {
        "en": f"Compared with {name_of(mentee, 'en')}, it has {en}.",
        "fr": f"Comparée {to(name_of(mentee, 'fr'))}, elle {fr}.",
    }


def peer_gap(direction: float, mentee: Mentee | None) -> Names:
    """How close the two are, where they are to learn from each other: `direction` is 0 for close, else above or below
    0 as the city is too far ahead or behind.

    >>> peer_gap(0.0, Mentee({"en": "Capaci"}))["en"]
    'It is about as far along as Capaci: a good distance for learning from each other.'
    """
    if direction == 0:
        en, fr = (
            "about as far along as {}: a good distance for learning from each other",
            ("à peu près aussi avancée que {} : une bonne distance pour apprendre l’une de l’autre"),
        )
    elif direction > 0:
        en, fr = (
            "clearly further along than {}; peers learn more from each other where the distance is small",
            ("nettement plus avancée que {} ; entre pairs, on apprend davantage lorsque la distance est petite"),
        )
    else:
        en, fr = (
            "less far along than {} on record; peers learn more from each other where the distance is small",
            (
                "moins avancée que {} d’après les fiches ; entre pairs, on apprend davantage lorsque la distance est petite"
            ),
        )
    return {
        "en": f"It is {en.format(name_of(mentee, 'en'))}.",
        "fr": f"Elle est {fr.format(name_of(mentee, 'fr'))}.",
    }


def size(city: CityFacts, mentee: Mentee, population: int, other: int) -> Names:
    """Both populations and their ratio; `population` is the city's, `other` the mentee's, both above 0.

    >>> mechelen, capaci = CityFacts("mechelen", {"en": "Mechelen"}), Mentee({"en": "Capaci"})
    >>> size(mechelen, capaci, 87_000, 11_500)["en"]
    'Mechelen has about 87,000 inhabitants, 7.6 times as many as Capaci.'
    """

    def sentence(language: str) -> str:
        here, there = name_of(city, language), name_of(mentee, language)
        many, few = inhabitants(population, language), inhabitants(other, language)
        ratio = times(max(population, other) / min(population, other), language)
        if max(population, other) < 1.15 * min(population, other):
            if language == "fr":
                return f"{here} et {there} sont de taille comparable (environ {many} et {few} habitants)."
            return f"{here} and {there} are about the same size (about {many} and {few} inhabitants)."
        if population > other:
            if language == "fr":
                return f"{here} compte environ {many} habitants, soit {ratio} fois la population {of(there)}."
            return f"{here} has about {many} inhabitants, {ratio} times as many as {there}."
        if language == "fr":
            return f"{here} compte environ {many} habitants ; {there} en compte {ratio} fois plus."
        return f"{here} has about {many} inhabitants; {there} has {ratio} times as many."

    return _said(lambda language: opening(sentence(language)))


def country(city: CityFacts, mentee: Mentee) -> Names:
    """Whether both are in one country, and so under one national frame; both countries are known."""
    if city.country == mentee.country:
        return {
            "en": "Both are in the same country, under the same national rules.",
            "fr": "Les deux villes sont dans le même pays et suivent les mêmes règles nationales.",
        }

    def sentence(language: str) -> str:
        here = in_language(city.country_name, language) or city.country
        there = in_language(mentee.country_name, language) or mentee.country
        if language == "fr":
            return f"Les deux villes sont dans des pays différents ({here}, {there}) : le cadre national diffère."
        return f"They are in different countries ({here}, {there}): the national frame differs."

    return _said(sentence)


def migration(difference: float) -> Names:
    """How far the shares of foreign-born residents differ, as a fraction."""
    points = round(difference * 100)
    return {
        "en": f"Their shares of foreign-born residents differ by {points} percentage point{'' if points == 1 else 's'}.",
        "fr": f"Leurs parts d’habitants nés à l’étranger diffèrent de {points} point{'s' if points > 1 else ''}.",
    }


def shared_language(codes: Sequence[str], working: bool) -> Names:
    """The languages both share; `working` says that one side has named them for its work."""

    def sentence(language: str) -> str:
        names = listed([_language_name(code, language) for code in codes], language)
        if working:
            return f"Langue de travail commune : {names}." if language == "fr" else f"Both can work in {names}."
        if language == "fr":
            return f"Langue officielle commune aux deux villes : {names}."
        return f"Official language of both: {names}."

    return _said(sentence)


def no_shared_language(city: CityFacts, own: Sequence[str], mentee: Mentee, others: Sequence[str]) -> Names:
    """Both have stated their working languages, and share none."""

    def sentence(language: str) -> str:
        here, there = _languages(own, language), _languages(others, language)
        if language == "fr":
            return (
                f"Aucune langue de travail commune n’est indiquée ({name_of(city, language)} : {here} ; "
                f"{name_of(mentee, language)} : {there})."
            )
        return (
            f"No shared working language is stated ({name_of(city, language)}: {here}; "
            f"{name_of(mentee, language)}: {there})."
        )

    return _said(sentence)


def _languages(codes: Sequence[str], language: str) -> str:
    return listed([_language_name(code, language) for code in codes], language)


def _language_name(code: str, language: str) -> str:
    return LANGUAGE_NAMES.get(code, {}).get(language, code)


def offers(free: int | None) -> Names:
    """The city offers to mentor; `free` is how many places are left, None where it set no number."""
    if free is None:
        return {"en": "It offers to mentor.", "fr": "Elle propose d’être mentore."}
    return {
        "en": f"It offers to mentor and has {free} place{'' if free == 1 else 's'} left.",
        "fr": f"Elle propose d’être mentore et dispose encore de {free} place{'' if free == 1 else 's'}.",
    }


def full() -> Names:
    """The city's offer is used up, or is for no mentorship at all."""
    return {"en": "Its places as mentor are all taken.", "fr": "Toutes ses places de mentore sont prises."}


def ties(programmes: Sequence[str], networks: Sequence[str], mentorship: bool) -> Names:
    """What both have in common: names of programmes and networks, or an earlier mentorship."""

    def sentence(language: str) -> str:
        parts = []
        if mentorship:
            parts.append("un mentorat existe déjà" if language == "fr" else "a mentorship is on record")
        if programmes:
            shared = listed(programmes, language)
            parts.append(f"programme commun : {shared}" if language == "fr" else f"shared programme: {shared}")
        if networks:
            shared = listed(networks, language)
            parts.append(f"réseau commun : {shared}" if language == "fr" else f"shared network: {shared}")
        return opening((" ; " if language == "fr" else "; ").join(parts)) + "."

    return _said(sentence)


def evidence(best: str) -> Names:
    """The best evidence stated for the practices shown."""
    label = EVIDENCE_LABELS.get(best, {"en": best, "fr": best})
    return {
        "en": f"Best evidence stated for these practices: {label['en']}.",
        "fr": f"Meilleur élément de preuve indiqué pour ces pratiques : {label['fr']}.",
    }


def recency(year: int) -> Names:
    """The last sure year of the practices shown."""
    return {
        "en": f"These practices were last known to be active in {year}.",
        "fr": f"La dernière activité connue de ces pratiques date de {year}.",
    }


TOLD_FOR_TRANSFER: Mapping[str, Names] = {
    "core_elements": {"en": "what must be kept", "fr": "ce qu’il faut garder"},
    "adaptable_parts": {"en": "what may be adapted", "fr": "ce qu’on peut adapter"},
    "success_factors": {"en": "what made it work", "fr": "ce qui a permis la réussite"},
    "conditions": {"en": "what another city needs first", "fr": "ce qu’il faut d’abord à une autre ville"},
}


def transferability(practice: PracticeFacts) -> Names:
    """What the record tells for transfer, and how often the practice was taken up.

    >>> transferability(PracticeFacts("x", {"en": "Buddies"}, told_for_transfer=frozenset({"conditions"}), taken_up=1))["en"]
    '“Buddies” tells what another city needs first; it has been taken up in 1 other place on record.'
    """
    told = [words for key, words in TOLD_FOR_TRANSFER.items() if key in practice.told_for_transfer]
    places = practice.taken_up
    plural = "s" if places > 1 else ""

    def sentence(language: str) -> str:
        title, parts = quoted_title(practice.title, language), listed([words[language] for words in told], language)
        if language == "fr":
            up = f"a été reprise à {places} autre{plural} endroit{plural}, d’après les fiches"
            said = f"{title} dit {parts}" if parts else ""
            return f"{said} ; elle {up}." if said and places else f"{said or f'{title} {up}'}."
        up = f"has been taken up in {places} other place{plural} on record"
        said = f"{title} tells {parts}" if parts else ""
        return f"{said}; it {up}." if said and places else f"{said or f'{title} {up}'}."

    return _said(sentence)


# What is unknown, and whom to ask


def ask_mentor(city: CityFacts, factor: str, text: Names, question: Names) -> Unknown:
    """An open question for the possible mentor: its contact by role, or its association's help."""
    role = city.availability.contact_role if city.availability and city.availability.consent else {}

    def sentence(language: str) -> str:
        who = in_language(role, language) or ("municipalité" if language == "fr" else "municipality")
        if language == "fr":
            via = f", au besoin par son association de communes ({city.association})" if city.association else ""
            return f"Demandez {to(name_of(city, language))} ({who}){via} {question[language]}."
        via = (
            f", if need be through its association of municipalities ({city.association})," if city.association else ""
        )
        return f"Ask {name_of(city, language)} ({who}){via} {question[language]}."

    return Unknown(factor, "mentor", text, _said(sentence))


def ask_association(city: CityFacts, factor: str, text: Names, question: Names) -> Unknown:
    """An open question for the associations of municipalities, who know who knows whom."""

    def sentence(language: str) -> str:
        if language == "fr":
            who = f"à l’association de communes ({city.association})" if city.association else "à votre association"
            return f"Demandez {who} {question[language]}."
        who = f"the association of municipalities ({city.association})" if city.association else "your association"
        return f"Ask {who} {question[language]}."

    return Unknown(factor, "association", text, _said(sentence))


def ask_mentee(factor: str, text: Names, request: Names) -> Unknown:
    """An open question that the asking city can answer itself, with its request."""
    return Unknown(factor, "mentee", text, request)


def mentee_not_named(factor: str) -> Unknown:
    """The request names no mentee."""
    return ask_mentee(
        factor,
        {
            "en": "The request does not say which city asks, so the two cannot be compared.",
            "fr": "La demande ne dit pas quelle ville la pose ; la comparaison n’est pas possible.",
        },
        {"en": "Name your city, or describe it.", "fr": "Indiquez votre ville ou décrivez-la."},
    )


def experience_unknown(city: CityFacts, factor: str = "experience") -> Unknown:
    """Nothing on record says how far the city has come."""
    return ask_mentor(
        city,
        factor,
        {
            "en": "How far it has come in this field is not on record.",
            "fr": "Son avancement dans ce domaine n’est pas documenté.",
        },
        {"en": "what it has carried out so far", "fr": "ce qui a déjà été réalisé"},
    )


def own_level_unknown(mentee: Mentee) -> Unknown:
    """The mentee's own experience is not known."""
    return ask_mentee(
        "gap",
        {
            "en": f"How much experience {name_of(mentee, 'en')} has here itself is not known.",
            "fr": f"L’expérience propre {of(name_of(mentee, 'fr'))} dans ce domaine n’est pas connue.",
        },
        {
            "en": "State your own level of experience with the theme.",
            "fr": "Indiquez votre propre niveau d’expérience pour ce thème.",
        },
    )


_MISSING: Mapping[str, tuple[Names, Names, Names]] = {
    # what is missing; the question to the mentor; the request to the mentee
    "size": (
        {"en": "The population of {} is not on record.", "fr": "La population {} n’est pas documentée."},
        {"en": "how many inhabitants it has", "fr": "le nombre de ses habitants"},
        {"en": "State the number of your inhabitants.", "fr": "Indiquez le nombre de vos habitants."},
    ),
    "country": (
        {"en": "The country of {} is not on record.", "fr": "Le pays {} n’est pas documenté."},
        {"en": "in which country it is", "fr": "dans quel pays elle se trouve"},
        {"en": "State your country.", "fr": "Indiquez votre pays."},
    ),
}


def context_missing(part: str, city: CityFacts, mentee: Mentee, *, of_mentor: bool) -> Unknown:
    """A part of the context ("size" or "country") that is not known of the mentor or of the mentee."""
    missing, question, request = _MISSING[part]
    side: CityFacts | Mentee = city if of_mentor else mentee
    text = {
        "en": missing["en"].format(name_of(side, "en")),
        "fr": missing["fr"].format(of(name_of(side, "fr"))),
    }
    return ask_mentor(city, "context", text, question) if of_mentor else ask_mentee("context", text, request)


def language_unknown(city: CityFacts, own: Sequence[str], mentee: Mentee, others: Sequence[str]) -> Unknown:
    """No language is known to be shared, and at least one side has not said what it can work in."""

    def sentence(language: str) -> str:
        if not own or not others:
            return (
                "On ne sait pas quelles langues les deux villes partagent."
                if language == "fr"
                else "Which languages the two share is not on record."
            )
        here, there = _languages(own, language), _languages(others, language)
        if language == "fr":
            return (
                f"Aucune langue commune n’est documentée ({name_of(city, language)} : {here} ; "
                f"{name_of(mentee, language)} : {there}) ; une langue de travail tierce reste possible."
            )
        return (
            f"No common language is on record ({name_of(city, language)}: {here}; {name_of(mentee, language)}: {there}); "
            "a third working language may do."
        )

    return ask_mentor(
        city,
        "language",
        _said(sentence),
        {"en": "in which languages its team can work", "fr": "dans quelles langues son équipe peut travailler"},
    )


def availability_unknown(city: CityFacts, why: str) -> Unknown:
    """Whether the city would mentor now; `why` is "none", "ended" or "other-themes"."""
    texts: Mapping[str, Names] = {
        "none": {
            "en": "Whether it is available as a mentor is not on record.",
            "fr": "On ne sait pas si elle est disponible comme mentore.",
        },
        "ended": {
            "en": "Its offer to mentor has run out; whether it would renew it is not known.",
            "fr": "Son offre de mentorat est échue ; on ne sait pas si elle la renouvellerait.",
        },
        "other-themes": {
            "en": "It offers to mentor on other themes; whether it would on this one is not known.",
            "fr": "Elle propose d’être mentore sur d’autres thèmes ; pour celui-ci, on ne le sait pas.",
        },
    }
    return ask_mentor(
        city,
        "capacity",
        texts[why],
        {
            "en": "whether it would mentor on this, when, and who would take part",
            "fr": "si elle accepterait d’être mentore sur ce sujet, quand et avec qui",
        },
    )


def ties_unknown(city: CityFacts) -> Unknown:
    """No shared programme, network or mentorship is on record, which does not mean that there is none."""
    return ask_association(
        city,
        "trust",
        {
            "en": "No shared programme, network or earlier mentorship is on record.",
            "fr": "Aucun programme, réseau ou mentorat commun n’est documenté.",
        },
        {"en": "whether the two already know each other", "fr": "si les deux villes se connaissent déjà"},
    )


def evidence_unknown(city: CityFacts) -> Unknown:
    """None of the practices shown states any evidence."""
    return ask_mentor(
        city,
        "evidence",
        {
            "en": "No evidence is stated for these practices.",
            "fr": "Aucun élément de preuve n’est indiqué pour ces pratiques.",
        },
        {"en": "what was counted or evaluated", "fr": "ce qui a été mesuré ou évalué"},
    )


def recency_unknown(city: CityFacts) -> Unknown:
    """None of the practices shown has a sure date."""
    return ask_mentor(
        city,
        "freshness",
        {"en": "These practices have no sure date.", "fr": "Ces pratiques n’ont pas de date sûre."},
        {"en": "since when they have run, and whether they still do", "fr": "depuis quand et si elles durent encore"},
    )


def transferability_unknown(city: CityFacts) -> Unknown:
    """None of the practices shown says anything on transfer."""
    return ask_mentor(
        city,
        "transferability",
        {
            "en": "What another city must keep, may adapt and needs first is not told.",
            "fr": "Ce qu’une autre ville doit garder, peut adapter et doit d’abord réunir n’est pas indiqué.",
        },
        {
            "en": "what must be kept, what may be adapted and what it took",
            "fr": "ce qu’il faut garder, ce qu’on peut adapter et ce qu’il a fallu",
        },
    )


# What to keep in mind

_CAUTIONS: Mapping[str, Names] = {
    "evidence-not-stated": {
        "en": "What supports the outcomes is not stated: {}.",
        "fr": "Rien n’indique ce qui étaye les résultats : {}.",
    },
    "evidence-none": {
        "en": "The record says that there is no evidence: {}.",
        "fr": "La fiche précise qu’il n’y a pas d’élément de preuve : {}.",
    },
    "date-unknown": {
        "en": "It is not sure when this was last active: {}.",
        "fr": "La dernière activité n’est pas datée avec certitude : {}.",
    },
    "long-ago": {
        "en": "Last known to be active long ago: {}.",
        "fr": "Dernière activité connue il y a longtemps : {}.",
    },
    "activity-ended": {"en": "This has ended: {}.", "fr": "Action terminée : {}."},
    "still-planned": {"en": "This is a plan, not yet carried out: {}.", "fr": "Projet pas encore réalisé : {}."},
    "partly-sourced": {
        "en": "Only part of the record has a source: {}.",
        "fr": "La fiche n’est sourcée qu’en partie : {}.",
    },
    "not-sourced": {
        "en": "The record was written from memory: {}.",
        "fr": "La fiche a été écrite de mémoire : {}.",
    },
    "claims-contradict": {
        "en": "Sources contradict each other on figures or dates: {}.",
        "fr": "Les sources se contredisent sur des chiffres ou des dates : {}.",
    },
    "conditions-stated": {
        "en": "The record names conditions for transfer; look at them first: {}.",
        "fr": "La fiche pose des conditions de transfert ; regardez-les d’abord : {}.",
    },
    "other-body": {
        "en": "Run with or by another body, not by the city alone: {}.",
        "fr": "Action menée avec ou par un autre organisme, pas par la ville seule : {}.",
    },
}


def practice_caution(code: str, practices: Sequence[PracticeFacts]) -> Names:
    """A caution about some of the practices shown.

    >>> practice_caution("activity-ended", [PracticeFacts("x", {"en": "Buddies"})])["en"]
    'This has ended: “Buddies”.'
    """
    template = _CAUTIONS[code]
    return _said(lambda lang: template[lang].format(listed([quoted_title(p.title, lang) for p in practices], lang)))


def single_record() -> Names:
    """The city has one practice on record."""
    return {
        "en": "Only one practice of this city is on record; there may be more to it.",
        "fr": "Une seule pratique de cette ville est documentée ; il peut y en avoir d’autres.",
    }


def need_unmet(number: int) -> Names:
    """Nothing was found for a need of several; `number` counts from 1."""
    return {
        "en": f"Nothing on record answers need {number}; another mentor may be needed for it.",
        "fr": f"Rien de documenté ne répond au besoin {number} ; un autre mentor peut être nécessaire.",
    }


def already_mentor(city: CityFacts, mentee: Mentee) -> Names:
    """The two have or had a mentorship."""
    return {
        "en": opening(f"{name_of(city, 'en')} has already been named as mentor of {name_of(mentee, 'en')}."),
        "fr": opening(f"{name_of(city, 'fr')} a déjà été désignée comme mentore {of(name_of(mentee, 'fr'))}."),
    }
