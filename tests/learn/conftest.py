"""The command line, for tests of training, too."""

from tests.app.conftest import quantlytic  # noqa: F401
