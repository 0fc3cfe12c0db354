"""Deliver messages about results: HL7, FHIR and webhooks, one at a time."""

from collections.abc import Callable, Sequence
from functools import partial

from schema.database import Database
from schema.errors import SettingsError, TriageError
from schema.states import DeliveryState
from worker.delivery import hl7_message, mllp, web
from worker.delivery.claims import Claimed, Ledger
from worker.delivery.destinations import FhirDestination, Hl7Destination, MessageDestination
from worker.delivery.message import Message, read_message
from worker.delivery.statuses import DestinationDownError

Send = Callable[[Message], None]


class MessageSender:
    """Sends to one destination of messages."""

    def __init__(self, target: MessageDestination, database: Database) -> None:
        self._database = database
        self._send = _transport(target, database)

    def send(self, rows: Sequence[Claimed], ledger: Ledger) -> int:
        """Send messages of one study; return how many.

        Raises
        ------
        DestinationDownError
            The destination fails as a whole; what was not sent is given back.
        """
        waiting = list(rows)
        try:
            while waiting:
                self._send_one(waiting[0], ledger)
                waiting.pop(0)
        except (DestinationDownError, SettingsError) as error:
            ledger.release(waiting, error)
            raise DestinationDownError(str(error)) from error
        return len(rows)

    def _send_one(self, row: Claimed, ledger: Ledger) -> None:
        if not ledger.extend(row):
            return
        try:
            self._send(read_message(self._database, row.id))
        except (DestinationDownError, SettingsError):
            raise
        except TriageError as error:
            ledger.failed(row, error)
        else:
            ledger.done(row, DeliveryState.DELIVERED)

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
