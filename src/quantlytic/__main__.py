"""`python -m quantlytic` is the same as `quantlytic`."""

from quantlytic.app.cli import main

main()
