"""Routes to the images: what a series looks like, its slices, and the picture on the list.

Addresses hold the number of an analysis, nothing of a patient.
"""

from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from schema.database import Database
from schema.errors import PixelError, TransientError
from schema.settings import Settings
from worklist.access.audit import Act, Trail, What
from worklist.access.guard import address_of, reader_of
from worklist.images.preparing import Prepared, Preparer
from worklist.images.sources import Images, find_images, find_key_picture


@dataclass(frozen=True)
class ImageViews:
    """The views; each reader has logged in, as for every page."""

    database: Database
    settings: Settings
    trail: Trail
    preparer: Preparer

    def routes(self) -> list[BaseRoute]:
        """Say which address shows what."""
        return [
            Route("/api/job/{job:int}/images", self.images),
            Route("/api/job/{job:int}/images/{version}/{index:int}", self.slice),
            Route("/api/job/{job:int}/key-picture", self.key_picture),
        ]

    def images(self, request: Request) -> Response:
        """Describe the series, made ready if need be; whoever asks has seen its images."""
        images = find_images(self.database, self.settings.storage, request.path_params["job"])
        prepared = self._prepare(images)
        self.trail.write(
            Act(
                What.SEEN,
                reader_of(request).name,
                address_of(request),
                study_instance_uid=images.study_instance_uid,
                patient_id=images.patient_id,
            )
        )
        told = {"version": images.version, "masks_missing": bool(images.unmasked_ml)}
        blood = {"blood_ml": images.unmasked_ml} if images.unmasked_ml else {}
        return JSONResponse(prepared.stack | told | blood)

    def slice(self, request: Request) -> Response:
        """Answer one slice: (row, column) int16 HU, then (row, column) uint8 segment numbers."""
        images = find_images(self.database, self.settings.storage, request.path_params["job"])
        if request.path_params["version"] != images.version:
            raise HTTPException(HTTPStatus.CONFLICT, "The images changed; open the study again.")
        prepared, index = self._prepare(images), request.path_params["index"]
        if index >= len(prepared.parts):
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such slice.")
        return Response(
            prepared.read(index),
            media_type="application/octet-stream",
            headers={"Content-Encoding": "gzip"},
        )

    def key_picture(self, request: Request) -> Response:
        """Answer the picture that the list shows."""
        jpeg = find_key_picture(self.database, request.path_params["job"])
        return Response(jpeg, media_type="image/jpeg")

    def _prepare(self, images: Images) -> Prepared:
        """Have a series made ready; what fails is told of its images, never of the worklist."""
        try:
            return self.preparer.prepare(images)
        except PixelError as error:
            told = f"These images can't be shown: {error}"
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, told) from error
        except TransientError as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
