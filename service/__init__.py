"""HTTP, pages and command line: read requests, call kg, write answers."""
