"""What is wrong with a value that a request gives, in English and French: the validator's words, and ours where those say
too little."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ENGLISH = {
    "missing": "it is missing; it must be given",
    "extra_forbidden": "there is no field of this name here; remove it or mend its spelling",
    "model_attributes_type": "this must be a JSON object, sent with Content-Type: application/json",
}

_FRENCH = {
    # the validator's own, https://docs.pydantic.dev/latest/errors/validation_errors/
    "missing": "cette valeur manque ; elle est obligatoire",
    "extra_forbidden": "il n’y a pas de champ de ce nom ici ; supprimez-le ou corrigez-en l’orthographe",
    "model_attributes_type": "il faut ici un objet JSON, envoyé avec Content-Type: application/json",
    "model_type": "il faut ici un objet",
    "dict_type": "il faut ici un objet",
    "list_type": "il faut ici une liste",
    "string_type": "il faut ici un texte",
    "string_unicode": "il faut ici un texte en UTF-8",
    "bool_type": "il faut ici true ou false",
    "bool_parsing": "il faut ici true ou false",
    "int_type": "il faut ici un nombre entier",
    "int_parsing": "il faut ici un nombre entier",
    "int_parsing_size": "ce nombre est trop grand",
    "int_from_float": "il faut ici un nombre entier",
    "float_type": "il faut ici un nombre",
    "float_parsing": "il faut ici un nombre",
    "finite_number": "il faut ici un nombre fini",
    "greater_than": "il faut ici plus de {gt}",
    "greater_than_equal": "il faut ici {ge} au moins",
    "less_than": "il faut ici moins de {lt}",
    "less_than_equal": "il faut ici {le} au plus",
    "too_short": "il en faut {min_length} au moins ; il y en a {actual_length}",
    "too_long": "il en faut {max_length} au plus ; il y en a {actual_length}",
    "string_too_short": "il faut ici au moins {min_length} caractère(s)",
    "string_too_long": "il faut ici au plus {max_length} caractères",
    "string_pattern_mismatch": "ce texte n’a pas la forme attendue, {pattern}",
    "literal_error": "il faut ici {expected}",
    "enum": "il faut ici {expected}",
    "date_type": "il faut ici un jour, par exemple 2026-03-31",
    "date_parsing": "il faut ici un jour, par exemple 2026-03-31",
    "date_from_datetime_parsing": "il faut ici un jour, par exemple 2026-03-31",
    # ours, service/api/values.py and models.py
    "text_empty": "le texte est vide ; dites en une phrase ou deux ce qu’il faut",
    "text_too_long": (
        "le texte a {length} caractères ; {limit} au plus sont admis : donnez l’essentiel, ou faites-en plusieurs besoins"
    ),
    "text_control": "le caractère {position} est le caractère de commande {code} ; supprimez-le",
    "language_tag": "ce n’est pas un code de langue ; écrivez un code BCP 47 tel que « en », « fr » ou « el »",
    "country_code": "ce n’est pas un code de pays ; écrivez deux lettres, telles que « BE » ou « LV »",
    "reference": (
        "ce n’est ni un identifiant court (minuscules, chiffres et traits d’union, tel que « jelgava ») "
        "ni l’adresse d’une fiche (https://…)"
    ),
    "day": "ce n’est pas un jour ; écrivez AAAA-MM-JJ, par exemple « 2026-03-31 »",
    "mentee_form": (
        'donnez soit la ville documentée ({{"city": "jelgava"}}), soit un profil, pas les deux, ni aucun des deux'
    ),
}


def sentences(fault: Mapping[str, Any]) -> dict[str, str]:
    """A fault that pydantic found, in English, and in French where its sort is known.

    >>> sentences({"type": "greater_than_equal", "msg": "Input should be greater than or equal to 1", "ctx": {"ge": 1}})
    {'en': 'Input should be greater than or equal to 1', 'fr': 'il faut ici 1 au moins'}
    """
    sort, context = fault["type"], fault.get("ctx") or {}
    english = _ENGLISH.get(sort) or fault["msg"].removeprefix("Value error, ")
    if sort not in _FRENCH:
        return {"en": english}
    held = {name: value_in_french(value) for name, value in context.items()}
    return {"en": english, "fr": _FRENCH[sort].format(**held)}


def value_in_french(value: object) -> str:
    """A value of a fault as French writes it: 20 001 for 20,001, 0,5 for 0.5, « ou » between choices."""
    if isinstance(value, float):
        return f"{value:g}".replace(".", ",")
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "\u202f", str(value)).replace(" or ", " ou ")
