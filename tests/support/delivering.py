"""`python tests/support/delivering.py HOME`: the delivery service as a process that can be killed.

What `celery -A worker worker -Q deliver` runs, without the seconds that Celery takes to start.
"""

import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from schema.database import connect
from schema.settings import Settings
from worker.delivery.service import make_service


def main(home: Path) -> None:
    """Deliver until killed."""
    settings = Settings(_env_file=None, home=home, destinations=home / "destinations.toml")
    service = make_service(settings, connect(settings))
    sys.stdout.write("delivering\n")
    sys.stdout.flush()
    service.start()
    signal.pause()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
