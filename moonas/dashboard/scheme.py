"""What figures need to know of the reader's browser."""

from dash import Input, State

SCHEME = Input("scheme", "data")  # "light" or "dark", whatever the reader chose or the system has
WEBGL = State("webgl", "data")  # whether a graphics processor draws; it is known as soon as the colours are
