"""The reader's colours, which figures are drawn in."""

from dash import Input

SCHEME = Input("scheme", "data")  # "light" or "dark", whatever the reader chose or the system has
