"""Deliver messages about results: HL7, FHIR and webhooks, one at a time."""

from collections.abc import Callable, Sequence
from functools import partial

from schema.database import Database
from schema.errors import SettingsError, TriageError
from schema.states import DeliveryState
from worker.delivery import hl7_message, mllp, web
from worker.delivery.claims import Claimed, Ledger
from worker.delivery.destinations import FhirDestination, Hl7Destination, MessageDestination
from worker.delivery.message import Message, StudyOpenError, read_message
from worker.delivery.statuses import ConnectionLostError, DestinationDownError

Send = Callable[[Message], None]


class MessageSender:
    """Sends to one destination of messages."""

    def __init__(self, target: MessageDestination, database: Database) -> None:
        self._database = database
        self._send = _transport(target, database)

    def send(self, rows: Sequence[Claimed], ledger: Ledger) -> int:
        """Send messages of one study; return for how many the destination was called.

        Raises
        ------
        DestinationDownError
            The destination fails as a whole; what was not sent is given back.
        """
        waiting, called = list(rows), 0
        try:
            while waiting:
                called += self._send_one(waiting[0], ledger)
                waiting.pop(0)
        except (DestinationDownError, SettingsError) as error:
            ledger.release(waiting, error)
            raise DestinationDownError(str(error)) from error
        return called

    def _send_one(self, row: Claimed, ledger: Ledger) -> bool:
        """Send a message, if it still may go; say whether anybody was called."""
        if not ledger.extend(row):
            return False
        try:
            self._send(read_message(self._database, row.id))
        except ConnectionLostError as error:
            ledger.failed(row, error)
            raise
        except (DestinationDownError, SettingsError):
            raise
        except StudyOpenError as error:
            ledger.release([row], error)
            return False
        except TriageError as error:
            ledger.failed(row, error)
        else:
            ledger.done(row, DeliveryState.DELIVERED)
        return True

    def confirm(self) -> int:
        """Ask for nothing: an acknowledgement is all that these give."""
        return 0


def _transport(target: MessageDestination, database: Database) -> Send:
    if isinstance(target, Hl7Destination):
        return partial(_send_hl7, target, database)
    if isinstance(target, FhirDestination):
        return partial(web.send_fhir, target)
    return partial(web.send_webhook, target)


def _send_hl7(target: Hl7Destination, database: Database, message: Message) -> None:
    text = hl7_message.render(target, message, database.now())
    mllp.send(target, text, message.key)
