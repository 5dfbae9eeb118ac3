"""How well search and suggestions find what people know to be right: figures with intervals, and what they rest on."""

from kg.evaluation.asking import Ablation, ablations
from kg.evaluation.figures import METRICS, ndcg, recall, reciprocal_rank, summary
from kg.evaluation.files import JudgedNeed, Practice, read_corpus, read_needs
from kg.evaluation.searching import METHODS, evaluate

__all__ = [
    "METHODS",
    "METRICS",
    "Ablation",
    "JudgedNeed",
    "Practice",
    "ablations",
    "evaluate",
    "ndcg",
    "read_corpus",
    "read_needs",
    "recall",
    "reciprocal_rank",
    "summary",
]
