"""Where archives report on storage commitment: an association that they open (PS3.4 J.3.3)."""

from typing import Any

import structlog
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from schema.database import Database
from schema.errors import SettingsError
from schema.settings import Settings
from worker.delivery.confirming import Report
from worker.delivery.destinations import Destinations, DicomDestination

log = structlog.get_logger()


class CommitmentListener:
    """Takes reports; off unless `listen_port` is set."""

    def __init__(self, places: Destinations, settings: Settings, database: Database) -> None:
        self._places = places
        self._ae_title = settings.ae_title.strip()
        self._archives = [
            destination
            for destination in places.destinations
            if isinstance(destination, DicomDestination)
        ]
        self._report = Report(database, self._archives)
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> None:
        """Listen.

        Raises
        ------
        SettingsError
            The port is taken.
        """
        if self._places.listen_port is None:
            return
        ae = AE(self._ae_title)
        ae.acse_timeout, ae.maximum_associations = 5, 50
        ae.require_called_aet = True
        # Titles that we send to; others can't say what an archive keeps.
        ae.require_calling_aet = [archive.ae_title for archive in self._archives]
        # The requestor is the provider here, and says so by role selection.
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        ae.add_supported_context(Verification)
        address = (self._places.listen_host, self._places.listen_port)
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, self._report.handle)]
        try:
            server = ae.start_server(address, block=False, evt_handlers=handlers)
        except OSError as error:
            raise SettingsError(f"listen_port: {address[0]}:{address[1]}: {error}") from error
        self._server = server
        log.info("listening for commitment", port=self._places.listen_port)

    def stop(self) -> None:
        """End."""
        if self._server is not None:
            self._server.shutdown()
