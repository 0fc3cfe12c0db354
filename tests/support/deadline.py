"""How long a test waits for what must come: only a test that fails waits so long."""

from typing import Final

DEADLINE_S: Final = 300  # a slow and busy host needs a minute to start a site
