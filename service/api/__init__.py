"""The JSON interface, one module per part; docs/http.md lists its addresses."""
