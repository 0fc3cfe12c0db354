"""How long a peer may take at each point of an association."""

from typing import Final

# For the whole A-ASSOCIATE-RQ, and to close the connection at the end (ARTIM timer, PS3.8 section
# 9.1.5): an idle socket must not keep a place for long.
ARTIM_S: Final = 5.0
IDLE_S: Final = 60.0  # between two signs of life of an established association
DRAIN_S: Final = 2.0  # for an association to be over by itself when the process is to end
STOP_DEADLINE_S: Final = 2.0  # for an association to end when the process does
