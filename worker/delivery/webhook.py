"""JSON for any program, signed so that the receiver can tell that it is ours."""

import hashlib
import hmac
import json
from dataclasses import asdict
from typing import Any, Final

from worker.delivery.destinations import WebhookDestination
from worker.delivery.message import Message, told_apart
from worker.wording import NOTICE

SIGNATURE: Final = "X-IHSNet-Signature"
TIMESTAMP: Final = "X-IHSNet-Timestamp"
KEY: Final = "X-IHSNet-Delivery"
OF_PATIENT: Final = ("patient_id", "accession_number")


def body(target: WebhookDestination, message: Message) -> bytes:
    """Make the JSON; patient and order are in it only where the site wants them."""
    values: dict[str, Any] = asdict(message) | {
        "event": message.event.lower(),
        "finished_at": message.finished_at.isoformat(timespec="milliseconds"),
        "findings": [asdict(found) for found in told_apart(message)],
        "objects": [{"kind": kind, "sop_instance_uid": uid} for kind, uid in message.objects],
        "notice": NOTICE,
    }
    if not target.patient:
        values = {key: value for key, value in values.items() if key not in OF_PATIENT}
    return json.dumps(values, ensure_ascii=False, sort_keys=True).encode()


def sign(secret: str, timestamp: int, content: bytes) -> str:
    """Sign time and body: HMAC-SHA-256 of `timestamp.body`, as hexadecimal digits."""
    signed = str(timestamp).encode() + b"." + content
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def headers(secret: str, timestamp: int, key: str, content: bytes) -> dict[str, str]:
    """Give the headers of a request."""
    return {
        "Content-Type": "application/json",
        TIMESTAMP: str(timestamp),
        KEY: key,
        SIGNATURE: f"sha256={sign(secret, timestamp, content)}",
    }
