"""Texts as search sees them: their language, their words, and the passages a practice is cut into."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

NEED_LIMIT_CHARACTERS = 20_000
"""Longest need that is taken; whoever takes needs in refuses longer ones (TooLarge) before they come here."""

WINDOW_TOKENS = 240
"""A passage, with its title before it, has at most so many tokens: the bundled model reads 256."""

UNDETERMINED = "und"

_CERTAIN = 0.9
_POSSIBLE = 0.05
_IDENTIFIED_CHARACTERS = 2_000
_WORD_LIMIT_CHARACTERS = 64

# Official languages of the European Union, of its neighbours and of many newcomers; fewer languages, fewer confusions.
_LANGUAGES = (
    "bg cs da de el en es et fi fr ga hr hu it lt lv mt nl pl pt ro sk sl sv "
    "ca is mk no ru sq sr tr uk am ar bn fa he hi hy ja ka ko ta th ur zh"
)

# ------------------------------------------------------------------------------------------- languages


def language_of(text: str) -> tuple[str, bool]:
    """The language a text is most likely written in (ISO 639-1), and whether that is certain.

    Certain means a probability of .9 or more: on 720 theme labels of one to six words in eight languages no certain
    answer was wrong, and two thirds were certain. Single words are mostly uncertain; a text without letters is
    ("und", False). Only the first 2,000 characters count.

    >>> language_of("Nous cherchons à loger les nouveaux arrivants près des écoles")
    ('fr', True)
    >>> language_of("Integration")[1]
    False
    >>> language_of("1 234 - 56")
    ('und', False)
    """
    ranked = _ranked_languages(text)
    return (ranked[0][0], ranked[0][1] >= _CERTAIN) if ranked else (UNDETERMINED, False)


def likely_languages(text: str) -> tuple[str, ...]:
    """The languages a text may be written in, likeliest first, at most four, and English, which is mixed in anywhere.

    >>> likely_languages("Logement")[-1], likely_languages("?")
    ('en', ('en',))
    """
    likely = [code for code, probability in _ranked_languages(text)[:4] if probability >= _POSSIBLE]
    return tuple(dict.fromkeys([*likely, "en"]))


def _ranked_languages(text: str) -> list[tuple[str, float]]:
    """All languages by probability; none for a text without letters."""
    head = unicodedata.normalize("NFC", text[:_IDENTIFIED_CHARACTERS]).encode("utf-8", "replace").decode()
    if not any(c.isalpha() for c in head):
        return []
    # The model was trained on running text: a title in capitals reads as another language.
    return _identifier().rank(" ".join(_WORDS.findall(head.lower())) or head)


_LOADING = threading.Lock()


def _identifier() -> Any:
    with _LOADING:
        return _load_identifier()


@cache
def _load_identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_LANGUAGES.split())
    return identifier


# ----------------------------------------------------------------------------------------------- words

_WORDS = re.compile(r"[^\W_]+")
_UNDECOMPOSED = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t", "ـ": None}
)


@lru_cache(65_536)
def _fold_word(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", bare.translate(_UNDECOMPOSED))


def fold(text: str) -> str:
    """The text in the form words are compared in: small letters, no accents, ß as ss, no final sigma.

    Control and invisible characters go, white space becomes single spaces; folding twice changes nothing.

    >>> fold("Straße  ÉCOLE Στέγης Łódź")
    'strasse ecole στεγησ lodz'
    >>> fold("a\\u200db\\x00c\\nd")
    'abc d'
    """
    visible = text
    if not text.isprintable():  # most texts are; asking every character took half of the time of indexing
        visible = "".join(c if c.isspace() or unicodedata.category(c)[0] != "C" else "" for c in text)
    # Split again: a free-standing accent decomposes into a space and the accent.
    return " ".join(" ".join(_fold_word(word) for word in visible.split()).split())


def words(text: str) -> list[str]:
    """The folded words of a text, in order: letters and digits, cut at everything else.

    >>> words("L'accueil des nouveaux-venus, 24h/24")
    ['l', 'accueil', 'des', 'nouveaux', 'venus', '24h', '24']
    """
    return [word[:_WORD_LIMIT_CHARACTERS] for word in _WORDS.findall(fold(text))]


def as_written(text: str, folded: str) -> str:
    """The first place in a text that reads like some folded words, as it is written there; the folded words if none does.

    >>> as_written("Les étrangers restent à l’écart", "etrangers"), as_written("D’ici là, rien", "d ici la")
    ('étrangers', 'D’ici là')
    """
    written = unicodedata.normalize("NFC", text)
    wanted = words(folded)
    places = [
        (found.start(), found.end(), fold(found[0])[:_WORD_LIMIT_CHARACTERS]) for found in _WORDS.finditer(written)
    ]
    for first in range(len(places) - len(wanted) + 1 if wanted else 0):
        some = places[first : first + len(wanted)]
        if [word for _, _, word in some] == wanted:
            return written[some[0][0] : some[-1][1]]
    return folded


@lru_cache(65_536)
def stem(word: str, language: str | None) -> str:
    """A word's stem in a language, from its folded form, so that a missing accent makes no difference.

    Snowball's stemmers where there are any; lists of endings for Latvian, Slovak, Slovenian, Croatian, Serbian,
    Bulgarian, Macedonian and Ukrainian; in any other language, and with None, the folded word itself.

    >>> stem("communities", "en"), stem("Écoles", "fr"), stem("στέγαση", "el"), stem("mājokļiem", "lv")
    ('communiti', 'ecol', 'στεγασ', 'majokl')
    >>> stem("Écoles", None)
    'ecoles'
    """
    folded = _fold_word(word)
    code = (language or "").lower().partition("-")[0]
    if code in _SNOWBALL:
        return _fold_word(_stemmer(_SNOWBALL[code]).stemWord(folded[:_WORD_LIMIT_CHARACTERS]))
    if code in _ENDINGS:
        return _ENDINGS[code].sub("", folded)
    return folded


def stemmed_well(language: str) -> bool:
    """Whether a full stemmer serves the language; elsewhere forms of one word often keep different stems.

    >>> stemmed_well("fr"), stemmed_well("lv")
    (True, False)
    """
    return language in _SNOWBALL


def terms(text: str, language: str | None) -> list[str]:
    """The stems of a text's words in order, repeated as they occur, without the commonest words of the language.

    Any text is taken: control characters, scripts written from right to left, combining characters.

    >>> terms("The schools of our city", "en")
    ['school', 'citi']
    >>> terms("\\x00 \\u202e", "en")
    []
    """
    common = stop_words(language)
    return [stem(word, language) for word in words(text) if word not in common]


@cache
def stop_words(language: str | None) -> frozenset[str]:
    """The folded words of a language that say nothing about a need; empty where none are listed.

    >>> "für" in stop_words("de"), "fur" in stop_words("de")
    (False, True)
    """
    return frozenset(words(_STOP_WORDS.get((language or "").lower().partition("-")[0], "")))


class _Stemmers(threading.local):
    """PyStemmer's objects must not be shared between threads."""

    def __init__(self) -> None:
        self.by_name: dict[str, Any] = {}


_STEMMERS = _Stemmers()


def _stemmer(name: str) -> Any:
    if name not in _STEMMERS.by_name:
        import Stemmer

        _STEMMERS.by_name[name] = Stemmer.Stemmer(name, 0)
    return _STEMMERS.by_name[name]


_SNOWBALL = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hu": "hungarian",
    "hy": "armenian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
}


def _endings(listed: str) -> re.Pattern[str]:
    """Matches the longest of these endings where at least three letters stay before it."""
    longest_first = sorted(listed.split(), key=len, reverse=True)
    return re.compile(rf"(?<=\w\w\w)(?:{'|'.join(longest_first)})$")


_SOUTH_SLAVIC = "ama ima ega emu ega oga omu ovi evi ove eve ova ev ov ih im em om og mi a e i o u"
_CYRILLIC = "ията ето ите ове ата ото ят ът та то те ия ии а я о е и ъ у"
# Case and number endings of nouns and adjectives, on folded words.
_ENDINGS = {
    "lv": _endings(
        "ajiem ajam ajas ajos ajai ajus ajais aja iem ies ais am as ai os em es us is im ie um iu ju ja ji a e i o u s"
    ),
    "sk": _endings("ami ach och ami ieho iemu ymi ych eho emu ou om ov am ej ia ie iu ii y a e i o u"),
    "sl": _endings(_SOUTH_SLAVIC + " ah"),
    "hr": _endings(_SOUTH_SLAVIC),
    "sr": _endings(_SOUTH_SLAVIC),
    "bg": _endings(_CYRILLIC),
    "mk": _endings(_CYRILLIC),
    "uk": _endings("ями ами ого ому ими ість ості ях ах ів ам ям ою ею их им ій ої і и а я у ю е о ь"),
}

_STOP_WORDS = {
    "en": "a an and are as at be been by can do for from has have how in into is it its of on or our so than that the "
    "their them there these they this those to was we were what when where which who will with would you your not "
    "more need needs want wants like looking",
    "fr": "a au aux avec ce ces cette comme comment dans de des du d elle en est et être eux il ils je l la le les leur "
    "leurs mais ne n nos notre nous ont ou où par pas pour plus qu que qui quoi sa se ses si son sont sur un une vos "
    "votre vous y été avons cherchons besoin voulons",
    "es": "a al con como cómo cuando de del desde donde e el ella ellos en entre era es esta este esto están estos ha han "
    "hay la las le les lo los más mi mucho muy ni no nos nuestra nuestro o para pero por que qué quien se sea ser si "
    "sin sobre son su sus también te tiene tienen un una unas uno unos y ya necesitamos queremos buscamos",
    "it": "a ad agli ai al alla alle anche che chi ci come con cui da dagli dai dal dalla dalle dei degli del della delle "
    "di dove e ed è gli ha hanno i il in io l la le lo loro ma mi nei nel nella nelle noi non nostra nostro o ogni per "
    "più quale quando quello questa questo se si sia sono su sua sue sui sul sulla suo tra un una uno vogliamo cerchiamo",
    "de": "aber als am an auch auf aus bei bis da damit das dass dem den der des die dies diese dieser doch durch ein eine "
    "einem einen einer eines er es für hat haben ich ihr ihre im in ist ja kann können man mehr mit nach nicht noch nur "
    "oder sein sich sie sind so über um und uns unser unsere unter vom von vor war was wenn werden wer wie wir wird wo "
    "wollen suchen brauchen zu zum zur",
    "nl": "aan al als bij dat de den der deze die dit door een en er ook of om onder ons onze ook op over te tot uit van "
    "veel voor wat we wel wij hoe hun ze zich zij zijn zo in is het heeft hebben kan maar me meer met naar niet nog nu "
    "willen zoeken",
    "el": "αλλά αν από αυτά αυτή αυτό για δεν εδώ εμείς ένα ένας έχει έχουμε έχουν η ή θα και κάθε κατά με μας μετά μη "
    "μια μόνο να ο οι όπως ότι όχι πιο που πολύ προς πρώτα πώς σαν σας σε στα στη στην στις στο στον στους τα τη την της "
    "τι τις το τον του τους των ως είναι θέλουμε",
    "lv": "ar arī bet bez būt ir ja jau kā kad kam kas kur ko kuri kuru līdz mēs mums mūsu nav ne no nu par pa pēc pie pret "
    "šis šo šī tā tad tas tie to tos tur un uz vai vairāk var viņi viņu kurā ļoti lai gan vēlamies",
    "pl": "a ale bez być co czy dla do i ich ile jak jest jego już lub ma mi między na nad nas nasz nie o od oraz po pod "
    "przez przy są się tak ten też to tym w we więcej wiele z za ze że",
    "sv": "alla än är att av bara blir de dem den denna det detta din du efter ej eller en ett för från ha han har hon hos "
    "hur i in inte ju kan man med men mer mot ni nu och om på så sin som till under upp ut vad var vi vid vår våra",
    "no": "alle at av bare ble bli de dem den denne der det dette du eller en er et etter for fra ha han har hvor hun i "
    "ikke ja kan man med men mer mot når ny og om opp på så seg sin skal som til under ut vår våre vi ved",
    "da": "af alle at blev bliver da de dem den denne der det dette du efter eller en er et for fra ha han har hun hvad "
    "hvor i ikke ind jeg kan man med men mere mod når og om op på sig sin skal som til ud under vi vil vores",
    "pt": "a ao aos as até com como da das de do dos e é ela ele em entre era essa esse esta este eu foi há isso já lhe "
    "mais mas na não nas nem no nos nossa nosso o os ou para pela pelo por qual quando que quem se sem ser seu são sua "
    "também tem um uma",
}


# -------------------------------------------------------------------------------------------- passages

PARTS: Mapping[str, tuple[str, ...]] = {
    "summary": ("summary",),
    "problem": ("problem",),
    "action": ("action", "core_elements", "adaptable_parts"),
    "outcomes": ("outcomes",),
    "lessons": ("difficulties", "lessons", "success_factors"),
}
"""The parts a practice is cut into, and the fields whose texts make each."""


@dataclass(frozen=True)
class Passage:
    """A piece of one part of a practice, in one language, short enough for the model to read whole.

    `text` is what a reader is shown; `indexed` puts the practice's title before it, since a passage from the middle
    seldom says what the practice is about.
    """

    part: str
    language: str
    text: str
    title: str = ""

    @property
    def indexed(self) -> str:
        """What is embedded and searched.

        >>> Passage("action", "en", "They walk together.", "Buddies").indexed
        'Buddies. They walk together.'
        >>> Passage("summary", "en", "Buddies", "Buddies").indexed
        'Buddies'
        """
        return f"{self.title}. {self.text}" if self.title and self.text != self.title else self.text


def passages(record: Mapping[str, Any], *, count_tokens: Callable[[str], int] | None = None) -> list[Passage]:
    """Cut a practice into passages: per language and part, in windows of whole sentences.

    `record` is a practice as plain JSON. Each language gets a summary passage even where only its title is known.
    `count_tokens` is the embedder's; without it tokens are estimated from letters. The order is that of PARTS within
    each language, languages as in the title.

    >>> record = {"title": {"en": "Buddies"}, "action": {"en": "The city pairs people.", "fr": "La ville forme des duos."}}
    >>> for p in passages(record):
    ...     print(p.part, p.language, p.text)
    summary en Buddies
    action en The city pairs people.
    action fr La ville forme des duos.
    """
    titles = _texts(record, "title")
    found = []
    for language in dict.fromkeys([*titles, *(lang for part in PARTS.values() for lang in _part(record, part))]):
        count = count_tokens or partial(estimated_tokens, language=language)
        title = " ".join(titles.get(language) or next(iter(titles.values()), []))
        # A title as long as a passage must not push the passage out.
        room = max(WINDOW_TOKENS - count(title), WINDOW_TOKENS // 2)
        for part, keys in PARTS.items():
            texts = _part(record, keys).get(language, [])
            if part == "summary" and language in titles and not texts:
                texts = [title]
            found += [Passage(part, language, window, title) for window in _windows(" ".join(texts), room, count)]
    return found


def estimated_tokens(text: str, language: str) -> int:
    """About how many tokens a text has for the bundled model; 95 of 100 texts have fewer.

    Its vocabulary is English: words of other languages fall into pieces of three letters, other scripts into letters.

    >>> estimated_tokens("The city pairs a resident with a newcomer", "en")
    12
    """
    letters_per_token = 4.0 if language.partition("-")[0] == "en" else 2.7
    total = 2.0
    for word in re.findall(r"[^\W_]+|[^\w\s]|_", text):
        foreign = 0 if word.isascii() else sum(not c.isascii() for c in word)
        total += max(1.0, (len(word) - foreign) / letters_per_token + foreign)
    return int(total)


def sentences(text: str) -> list[str]:
    """A text's sentences, cut after full stops and at line ends; abbreviations are cut too, which harms nothing here.

    >>> sentences("They met. Did it help?\\nYes!")
    ['They met.', 'Did it help?', 'Yes!']
    """
    return [s for s in (p.strip() for p in re.split(r"(?<=[.!?…;·])\s+|(?<=[。！？])|[\r\n]+", text)) if s]


def _texts(record: Mapping[str, Any], key: str) -> dict[str, list[str]]:
    """Texts of a field per language; those of inner nodes (outcome claims) by their statements."""
    value = record.get(key) or {}
    if isinstance(value, Mapping):
        return {lang: [t] if isinstance(t, str) else list(t) for lang, t in value.items() if t}
    collected: dict[str, list[str]] = {}
    for node in value:
        for lang, texts in _texts(node, "statement").items():
            collected.setdefault(lang, []).extend(texts)
    return collected


def _part(record: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, list[str]]:
    collected: dict[str, list[str]] = {}
    for key in keys:
        for lang, texts in _texts(record, key).items():
            collected.setdefault(lang, []).extend(texts)
    return collected


def _windows(text: str, room: int, count: Callable[[str], int]) -> Iterator[str]:
    """Whole sentences as long as they fit together."""
    window: list[str] = []
    used = 0
    for piece, size in _fitting(text, room, count):
        if window and used + size > room:
            yield " ".join(window)
            window, used = [], 0
        window.append(piece)
        used += size
    if window:
        yield " ".join(window)


def _fitting(text: str, room: int, count: Callable[[str], int]) -> Iterator[tuple[str, int]]:
    """Sentences and their tokens, the long ones cut between words into halves until each half fits."""
    waiting = list(reversed(sentences(text)))
    while waiting:
        sentence = waiting.pop()
        size = count(sentence)
        if size <= room or len(sentence) < 20:
            yield sentence, size
            continue
        middle = len(sentence) // 2
        cut = sentence.rfind(" ", 1, middle) + 1 or middle
        waiting += [sentence[cut:].strip(), sentence[:cut].strip()]
