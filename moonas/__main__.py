"""`python -m moonas` is the command `moonas`."""

from moonas.cli import main

main()
