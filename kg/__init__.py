"""Practices, cities and mentorships: records, ledger, graph, search and matching."""

import rdflib

# rdflib rewrites literals while it reads them ("007" becomes "7"); the ledger keeps what was written.
rdflib.NORMALIZE_LITERALS = False
