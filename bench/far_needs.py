"""How close the closest practice is in meaning: to texts outside the field, to short needs, to the golden English ones.

`least_meaning` of the matching profile stands between them. Run over a folder of the starting data that no service owns:

    python bench/far_needs.py data
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

import yaml

from kg.catalogue import Catalogue
from kg.suggesting import Need

GOLDEN = Path(__file__).resolve().parents[1] / "tests/golden/needs.yaml"
OUTSIDE = (
    "Purple elephants dance on quantum bicycles while eating cheese",
    "asdf qwerty lorem ipsum dolor",
    "The weather on Jupiter is stormy and the moons sing opera",
    "I need a recipe for chocolate cake with strawberries",
    "best football players of the world cup",
    "my dog likes to chase cats in the garden",
    "buy cheap viagra online now",
    "colorless green ideas sleep furiously",
    "sell my used car quickly for a good price",
    "how to fix a broken washing machine at home",
    "we want to win the lottery and fly to mars",
    "the wizard cast a spell upon the dragon",
    "install windows on a laptop without a licence",
    "knitting patterns for winter sweaters",
    "aliens landed and want to learn Klingon",
    "we need more zebras in the accounting department",
    "bitcoin mining with solar toasters",
    "Our purple elephants dance on the moon every second Tuesday",
    "purple elephants",
    "elephants need quantum cheese",
    "teach the cat to play the violin",
    "the stock market will crash and gold prices rise",
    "my grandmother's soup needs more salt",
    "cheap flights to Bali in December",
    "how do I train my dragon",
    "write me a poem about love and roses",
    "download free movies",
    "the best pizza in Naples",
    "my wife left me",
    "fix my bicycle chain",
    "dentist appointment next week",
    "the children of the sun worship giant snakes",
    "young wizards learn magic at school",
    "language of dolphins and whales",
    "women who turn into werewolves at night",
    "housing for penguins in Antarctica",
    "work of art by Picasso for sale",
    "health insurance for hamsters",
    "vote for the best Eurovision song",
    "refugees from the planet Zog need a spaceship",
    "join our chess club on Saturday",
    "horse racing results",
    "tax advice for millionaires",
    "learn to surf in Portugal",
    "volunteers for a medical trial of a new pill",
    "asylum for cows",
    "mentor me in crypto trading",
)
NEEDS = (
    "We want a tram line for commuters",
    "flood protection along the river",
    "reduce food waste in school canteens",
    "a digital twin of the city for planning",
    "cool streets during heat waves",
    "our shops on the high street stand empty",
    "bike lanes for children going to school",
    "we need to renovate old apartment blocks to save energy",
    "homeless people sleep in the station",
    "help small firms find skilled workers",
    "Roma children do not attend school",
    "we want a participatory budget",
    "air quality near schools is bad",
)


def main(folder: Path) -> None:
    golden = [one["need"] for one in yaml.safe_load(GOLDEN.read_text(encoding="utf-8")) if one["language"] == "en"]
    with Catalogue.open(folder) as catalogue:
        least = catalogue.profile.least_meaning
        for name, texts in (("outside the field", OUTSIDE), ("short needs", NEEDS), ("golden, English", golden)):
            asked = [Need(text) for text in texts]
            near = [need.nearest for need, _ in catalogue.hits_of(asked) if need.nearest is not None]
            below = sum(one < least for one in near)
            figures = f"{min(near):.2f} to {max(near):.2f}, median {median(near):.2f}"
            print(f"{name}: {below} of {len(texts)} below {least}; {len(near)} read, {figures}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
