"""HL7, FHIR and webhooks: each result once, acknowledged, and never a lower priority."""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import timedelta

import hl7
import pytest
from fhir.resources.R4B.bundle import Bundle
from sqlalchemy import select, update

from schema.database import Database
from schema.errors import SettingsError
from schema.hemorrhage_subtypes import ANY, Claim
from schema.reason_words import PART_SEEN
from schema.settings import Settings
from schema.states import DeliveryState, JobState, Outcome, SeriesState
from schema.studies import update_study
from schema.tables import Delivery, Finding, Job, Series, Study
from tests.support.listeners import http_listener, mllp_listener, trickling_listener
from tests.support.outbox import Outbox
from tests.support.processes import free_port, wait_for
from tests.support.rows import add_job, add_series, add_study, done
from worker.delivery import fhir, hl7_message, listing, mllp
from worker.delivery.claims import Ledger, claim
from worker.delivery.destinations import FhirDestination, Hl7Destination
from worker.delivery.events import queue_events
from worker.delivery.message import read_message
from worker.delivery.outbox import enqueue_job, enqueue_study
from worker.delivery.probing import probe
from worker.delivery.service import make_sender
from worker.delivery.standing import read_standings
from worker.delivery.statuses import NotNowError
from worklist.acknowledgement import acknowledge, escalate

RIS = """
[destinations.RIS]
kind = "hl7"
host = "127.0.0.1"
port = {port}
receiving_application = "RIS"
first_pause_s = 0.01
probe_s = 0.05
timeout_s = 5
"""
FHIR = """
[destinations.EHR]
kind = "fhir"
url = "{url}"
patient = true
patient_system = "urn:oid:1.2.3"
accession_system = "urn:oid:1.2.4"
first_pause_s = 0.01
"""
HOOK = """
[destinations.DESK]
kind = "webhook"
url = "{url}"
secret_file = "secret"
first_pause_s = 0.01
"""


# What is R in HL7 v2.5.1, chapters 2 (MSH, NTE), 3 (PID), 4 (OBR, TQ1) and 7 (OBX), and of OBR and
# OBX also what a result has to have.
REQUIRED = {
    "MSH": (1, 2, 7, 9, 10, 11, 12),
    "PID": (3, 5),
    "OBR": (4, 7, 22, 25),
    "TQ1": (),
    "OBX": (2, 3, 5, 11),
    "NTE": (),
}


def framed(end: bytes, *segments: bytes, before: bytes = b"", after: bytes = b"\x1c\r") -> bytes:
    """Make an acknowledgement whose segments end so."""
    head = b"MSH|^~\\&|RIS||IHSNET||20260101||ACK^R01|1|P|2.5.1"
    return b"\x0b" + before + b"".join(line + end for line in (head, *segments)) + after


ACKNOWLEDGEMENTS = {
    "CR LF": framed(b"\r\n", b"MSA|AA|KEY"),
    "LF": framed(b"\n", b"MSA|AA|KEY"),
    "BOM": framed(b"\r", b"MSA|AA|KEY", before=b"\xef\xbb\xbf"),
    "1C alone": framed(b"\r", b"MSA|AA|KEY", after=b"\x1c"),
    "1C CR LF": framed(b"\r", b"MSA|AA|KEY", after=b"\x1c\r\n"),
    "without MSA-2": framed(b"\r", b"MSA|AA"),
    "spaces": framed(b"\r", b"MSA|AA |KEY "),
}


@pytest.fixture(autouse=True)
def _secret(settings: Settings) -> None:
    settings.home.mkdir(exist_ok=True)
    (settings.home / "secret").write_text("correct horse\n")


def with_result(
    settings: Settings, database: Database, toml: str, level: int = 1, uid: str = "1.2.840.1"
) -> Outbox:
    """Make an outbox with one study whose findings are stored."""
    box = Outbox.make(settings, database, toml)
    box.add(uid, level, kinds=("SR",))
    with database.transaction() as session:
        row = session.scalars(select(Delivery)).first()
        if row is not None and row.job_id is not None:
            session.add(
                Finding(
                    job_id=row.job_id, subtype=ANY, probability=0.9, volume_ml=41.23, present=True
                )
            )
            session.add(
                Finding(
                    job_id=row.job_id,
                    subtype="EDH",
                    probability=0.8,
                    volume_ml=41.23,
                    present=True,
                    claim=Claim.NOT_TOLD_APART,
                )
            )
    return box


def deliver(box: Outbox, name: str) -> None:
    courier = box.courier(name)
    over = {"DELIVERED", "FAILED", "SUPERSEDED"}

    def is_over() -> bool:
        courier.deliver_due()
        return box.states() <= over

    wait_for("end of the deliveries", is_over)


def test_a_listener_that_answers_ae_and_then_aa_accepts_each_message_once(
    settings: Settings, database: Database
) -> None:
    with mllp_listener("AE", "AA") as heard:
        deliver(with_result(settings, database, RIS.format(port=heard.port)), "RIS")
    assert heard.given == ["AE", "AA"]
    first, second = (hl7.parse(text).segment("MSH")[10] for text in heard.messages)
    assert str(first) == str(second)
    assert len(heard.accepted) == 1


def test_a_rejected_message_is_reported_and_not_sent_again(
    settings: Settings, database: Database
) -> None:
    with mllp_listener("AR") as heard:
        box = with_result(settings, database, RIS.format(port=heard.port))
        deliver(box, "RIS")
    assert len(heard.messages) == 1
    (row,) = box.rows()
    assert row.state is DeliveryState.FAILED
    assert "acknowledged with AR" in str(row.last_error)


def test_a_listener_that_goes_silent_gets_the_message_when_it_is_back(
    settings: Settings, database: Database
) -> None:
    with mllp_listener("nothing", "nothing", "AA") as heard:
        box = with_result(settings, database, RIS.format(port=heard.port))
        deliver(box, "RIS")
    assert heard.given[-1] == "AA"
    assert box.states() == {"DELIVERED"}


def test_a_message_over_which_a_ris_hangs_up_lets_the_others_go_first(
    settings: Settings, database: Database
) -> None:
    with mllp_listener("nothing", "AA") as heard:
        box = with_result(settings, database, RIS.format(port=heard.port), uid="1.2.840.1")
        box.add("1.2.840.2", kinds=())
        deliver(box, "RIS")
    studies = ["1.2.840.2" if "1.2.840.2" in text else "1.2.840.1" for text in heard.messages]
    assert studies == ["1.2.840.1", "1.2.840.2", "1.2.840.1"]
    assert [row.attempts for row in box.rows()] == [2, 1]


def test_the_message_says_what_was_found_and_moves_the_order(
    settings: Settings, database: Database
) -> None:
    with mllp_listener("AA") as heard:
        deliver(with_result(settings, database, RIS.format(port=heard.port)), "RIS")
    message = hl7.parse(heard.messages[0])
    assert str(message.segment("MSH")[9]) == "ORU^R01^ORU_R01"
    assert str(message.segment("TQ1")[9]) == "S"
    assert str(message.segment("PID")[3]) == "P1"
    values = {str(obx[3][0][0]): str(obx[5]) for obx in message.segments("OBX")}
    assert values["LEVEL"] == "1"
    assert values["ANY-VOLUME"] == "41.2"
    assert "EDH-VOLUME" not in values  # the model can't tell it apart


def test_the_message_names_no_patient_but_by_the_identifier(
    settings: Settings, database: Database
) -> None:
    with mllp_listener("AA") as heard:
        deliver(with_result(settings, database, RIS.format(port=heard.port)), "RIS")
    assert "Phantom" not in heard.messages[0]


def test_a_study_in_which_nothing_was_found_moves_nothing(
    settings: Settings, database: Database
) -> None:
    box = with_result(settings, database, RIS.format(port=free_port()), level=4)
    assert box.rows() == []


def test_a_second_result_of_a_lower_level_does_not_lower_the_order(
    settings: Settings, database: Database
) -> None:
    with mllp_listener("AA") as heard:
        box = with_result(settings, database, RIS.format(port=heard.port))
        deliver(box, "RIS")
        with database.transaction() as session:
            study = session.scalars(select(Study)).one()
            series = add_series(study, session, score=1)
            job = add_job(series, session, **done(Outcome.INDETERMINATE, 3))
            enqueue_job(session, job, box.places)
        deliver(box, "RIS")
    levels = [
        str(obx[5])
        for text in heard.messages
        for obx in hl7.parse(text).segments("OBX")
        if str(obx[3][0][0]) == "LEVEL"
    ]
    assert levels == ["1", "1"]


@pytest.mark.parametrize("event", ["RESULT", "UNREAD_CRITICAL"])
def test_each_segment_has_the_fields_that_the_standard_requires(
    settings: Settings, database: Database, event: str
) -> None:
    box = with_result(settings, database, RIS.format(port=1))
    target = box.places.named("RIS")
    assert isinstance(target, Hl7Destination)
    message = replace(read_message(database, box.rows()[0].id), event=event)
    segments = hl7.parse(hl7_message.render(target, message, database.now()))
    assert {str(segment[0]) for segment in segments} <= REQUIRED.keys()
    missing = [
        f"{segment[0]}-{number}"
        for segment in segments
        for number in REQUIRED[str(segment[0])]
        if number >= len(segment) or not str(segment[number])
    ]
    assert missing == []


@pytest.mark.parametrize("acknowledgement", ACKNOWLEDGEMENTS.values(), ids=ACKNOWLEDGEMENTS)
def test_an_acknowledgement_is_believed_however_loosely_it_is_framed(
    acknowledgement: bytes,
) -> None:
    with trickling_listener(acknowledgement, pause_s=0) as port:
        mllp.send(ris(port), "MSH|", "KEY")


def test_an_acknowledgement_of_another_message_is_not_ours() -> None:
    answer = framed(b"\r", b"MSA|AA|OTHER")
    with (
        trickling_listener(answer, pause_s=0) as port,
        pytest.raises(NotNowError, match="of another message"),
    ):
        mllp.send(ris(port), "MSH|", "KEY")


def ris(port: int) -> Hl7Destination:
    return Hl7Destination(kind="hl7", name="RIS", host="127.0.0.1", port=port)


def test_separators_in_a_value_break_no_field(settings: Settings, database: Database) -> None:
    with mllp_listener("AA") as heard:
        box = with_result(settings, database, RIS.format(port=heard.port))
        with database.transaction() as session:
            session.scalars(select(Study)).one().patient_id = "A|B^C\rMSH|x"
        deliver(box, "RIS")
    message = hl7.parse(heard.messages[0])
    assert str(message.segment("PID")[3]) == "A\\F\\B\\S\\C MSH\\F\\x"
    assert len(message.segments("MSH")) == 1


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("MSH|^~\\&|{{ result.nothing }}", "no attribute 'nothing'"),
        ("MSH|^~\\&|{{ ''.__class__.__mro__ }}", "unsafe"),
        ("MSH|^~\\&|a|b|c|d|e||ORU|another|P|2.5.1\nOBX|1", "result.key in MSH-10"),
    ],
)
def test_a_template_that_makes_no_message_is_named(
    template: str, reason: str, settings: Settings, database: Database
) -> None:
    (settings.home / "site.hl7").write_text(template)
    toml = RIS.format(port=free_port()) + 'template = "site.hl7"\n'
    box = with_result(settings, database, toml)
    message = read_message(database, box.rows()[0].id)
    with pytest.raises(SettingsError, match=reason):
        hl7_message.render(box.places.named("RIS"), message, database.now())


def test_fhir_is_a_valid_transaction_that_may_be_repeated(
    settings: Settings, database: Database
) -> None:
    with http_listener(503, 200) as requests:
        deliver(with_result(settings, database, FHIR.format(url=requests.url)), "EHR")
    assert len(requests.seen) == 2
    assert json.loads(requests.seen[0][3]) == json.loads(requests.seen[1][3])
    bundle = Bundle.model_validate_json(requests.seen[1][3])
    assert {entry.request.method for entry in bundle.entry} == {"PUT"}
    kinds = [entry.resource.get_resource_type() for entry in bundle.entry]
    assert kinds == [*["Observation"] * 7, "DiagnosticReport"]
    report = bundle.entry[-1].resource
    assert (report.status, len(report.result)) == ("preliminary", 2)
    assert report.subject.identifier.value == "P1"


def statuses(sent: str) -> dict[str, str]:
    """Give the status of each observation of a bundle, by the end of its identifier."""
    observations = [entry.resource for entry in Bundle.model_validate_json(sent).entry[:-1]]
    return {row.identifier[0].value.rpartition(".")[-1]: row.status for row in observations}


def test_fhir_takes_back_what_the_result_says_no_more(
    settings: Settings, database: Database
) -> None:
    box = with_result(settings, database, FHIR.format(url="http://localhost/"))
    message = read_message(database, box.rows()[0].id)
    said = json.dumps(fhir.bundle(box.places.named("EHR"), message))
    types = dict.fromkeys(("EDH", "IPH", "IVH", "SAH", "SDH"), "cancelled")
    assert statuses(said) == {"triage": "preliminary", ANY: "preliminary"} | types
    unanalysed = replace(message, outcome=Outcome.NOT_ANALYSED, findings=())
    bundle = fhir.bundle(box.places.named("EHR"), unanalysed)
    assert statuses(json.dumps(bundle)) == {"triage": "preliminary", ANY: "cancelled"} | types
    assert "valueBoolean" not in json.dumps(bundle)
    assert len(bundle["entry"][-1]["resource"]["result"]) == 1


@pytest.mark.parametrize("claim", [Claim.HINTED, Claim.REPORTED])
def test_messages_say_no_more_of_a_type_than_the_model_may(
    settings: Settings, database: Database, claim: Claim
) -> None:
    box = with_result(settings, database, FHIR.format(url="http://localhost/"))
    with database.transaction() as session:
        edh = session.scalars(select(Finding).where(Finding.subtype == "EDH")).one()
        edh.claim, edh.present, edh.volume_ml = claim, False, 0.0
    message = read_message(database, box.rows()[0].id)
    said = json.dumps(fhir.bundle(box.places.named("EHR"), message))
    is_hint = claim is Claim.HINTED
    assert ("Undetermined" in said) == ("(none outlined, not excluded)" in said) == is_hint
    assert "(a hint)" not in said


def test_nothing_is_called_absent_where_a_part_was_seen(
    settings: Settings, database: Database
) -> None:
    box = with_result(settings, database, FHIR.format(url="http://localhost/"), level=3)
    with database.transaction() as session:
        study = session.scalars(select(Study)).one()
        study.coverage = None  # as while another series is still received
        job = session.scalars(select(Job)).one()
        job.coverage = {"from_mm": 0, "to_mm": 60, "share": 0.44, "gaps": []}
        found = session.scalars(select(Finding).where(Finding.subtype == ANY)).one()
        found.present = False
    message = read_message(database, box.rows()[0].id)
    said = json.dumps(fhir.bundle(box.places.named("EHR"), message))
    assert "Undetermined" in said
    assert "valueBoolean" not in said


def test_a_message_says_what_the_other_series_of_a_study_that_is_done_add(
    settings: Settings, database: Database
) -> None:
    box = with_result(settings, database, RIS.format(port=free_port()))
    with database.transaction() as session:
        series = add_series(session.scalars(select(Study)).one(), session, series_number=7)
        reason = "its pixels cannot be decoded"
        left = {"state": JobState.FAILED, "outcome": Outcome.NOT_ANALYSED, "reason": reason}
        add_job(series, session, **left)
    message = read_message(database, box.rows()[0].id)
    assert "not analysed: series 7: its pixels cannot be decoded" in message.reason
    with database.transaction() as session:
        add_job(add_series(session.scalars(select(Study)).one(), session), session)
    assert read_message(database, box.rows()[0].id).reason == "rule 1"


def test_a_request_that_is_wrong_is_not_repeated(settings: Settings, database: Database) -> None:
    with http_listener(422) as requests:
        box = with_result(settings, database, FHIR.format(url=requests.url))
        deliver(box, "EHR")
    assert len(requests.seen) == 1
    assert "answered 422" in str(box.rows()[0].last_error)


def test_a_webhook_is_signed_and_holds_no_patient(settings: Settings, database: Database) -> None:
    with http_listener(204) as requests:
        deliver(with_result(settings, database, HOOK.format(url=requests.url)), "DESK")
    ((method, _, headers, body),) = requests.seen
    assert method == "POST"
    signed = headers["X-IHSNet-Timestamp"].encode() + b"." + body
    expected = hmac.new(b"correct horse", signed, hashlib.sha256).hexdigest()
    assert headers["X-IHSNet-Signature"] == f"sha256={expected}"
    assert not {"patient_id", "accession_number"} & json.loads(body).keys()
    assert b"P1" not in body


def call_out(database: Database) -> None:
    """Let the page find that nobody has seen the critical result."""
    assert escalate(database, timedelta(0)) == 1


def test_a_webhook_hears_once_that_nobody_has_seen_a_critical_result(
    settings: Settings, database: Database
) -> None:
    with http_listener(204) as requests:
        box = with_result(settings, database, HOOK.format(url=requests.url))
        call_out(database)
        assert queue_events(database, box.places) == 1
        assert queue_events(database, box.places) == 0
        deliver(box, "DESK")
    events = [json.loads(body)["event"] for _, _, _, body in requests.seen]
    assert sorted(events) == ["result", "unread_critical"]


def test_a_new_result_takes_the_place_of_results_alone(
    settings: Settings, database: Database
) -> None:
    box = with_result(settings, database, HOOK.format(url="http://127.0.0.1:9/x"))
    call_out(database)
    queue_events(database, box.places)
    with database.transaction() as session:
        series = add_series(session.scalars(select(Study)).one(), session, score=1)
        enqueue_job(session, add_job(series, session, **done(Outcome.POSITIVE, 1)), box.places)
    states = [(row.event, row.state.value) for row in box.rows()]
    assert states == [
        ("RESULT", "SUPERSEDED"),
        ("UNREAD_CRITICAL", "WAITING"),
        ("RESULT", "WAITING"),
    ]


def test_what_was_seen_before_it_was_sent_is_not_called_out(
    settings: Settings, database: Database
) -> None:
    box = with_result(settings, database, HOOK.format(url="http://127.0.0.1:9/x"))
    call_out(database)
    with database.transaction() as session:
        acknowledge(session, session.scalars(select(Study)).one(), "anna")
    assert queue_events(database, box.places) == 0


def test_what_was_seen_while_its_call_waited_to_be_sent_is_not_called_out(
    settings: Settings, database: Database
) -> None:
    box = with_result(settings, database, HOOK.format(url="http://127.0.0.1:9/x"))
    call_out(database)
    queue_events(database, box.places)
    with database.transaction() as session:
        acknowledge(session, session.scalars(select(Study)).one(), "anna")
    (result,) = claim(database, box.places.named("DESK"))
    assert [(row.event, row.state.value) for row in box.rows()] == [
        ("RESULT", "SENDING"),
        ("UNREAD_CRITICAL", "SUPERSEDED"),
    ]
    assert result.id == box.rows()[0].id


def test_a_ris_hears_of_it_where_the_site_wants_that(
    settings: Settings, database: Database
) -> None:
    with mllp_listener("AA") as ris:
        toml = RIS.format(port=ris.port)
        box = with_result(settings, database, toml + "unread = true\n")
        call_out(database)
        assert queue_events(database, box.places) == 1
        deliver(box, "RIS")
    notes = [message for message in ris.messages if "|Nobody has seen this critical" in message]
    assert len(notes) == 1
    assert len(ris.messages) == 2


def test_a_replay_sends_what_failed_again(settings: Settings, database: Database) -> None:
    with http_listener(400, 200) as requests:
        box = with_result(settings, database, HOOK.format(url=requests.url))
        deliver(box, "DESK")
        assert box.states() == {"FAILED"}
        desk = ("DESK",)
        assert listing.replay(database, destinations=desk, study_uid=None, everything=False) == 1
        deliver(box, "DESK")
    assert box.states() == {"DELIVERED"}


def test_an_expired_token_costs_no_message_and_the_destination_says_why(
    settings: Settings, database: Database
) -> None:
    with http_listener(401, 200) as requests:
        box = with_result(settings, database, FHIR.format(url=requests.url) + "probe_s = 0.05\n")
        box.add("1.2.840.2", kinds=("SR",))
        box.courier("EHR").deliver_due()
        assert [(row.state.value, row.attempts) for row in box.rows()] == [("WAITING", 0)] * 2
        (place,) = listing.read(database, ("EHR",), pending=False).standings
        assert (place.failures, place.last_error) == (
            1,
            "FHIR answered 401; check its url and its secret or token",
        )
        deliver(box, "EHR")
    assert box.states() == {"DELIVERED"}


@pytest.mark.parametrize("toml", [RIS, FHIR, HOOK])
def test_a_test_says_that_nobody_is_there(
    toml: str, settings: Settings, database: Database
) -> None:
    port = free_port()
    text = toml.format(port=port, url=f"http://127.0.0.1:{port}/x")
    box = Outbox.make(settings, database, text)
    (finding,) = probe(box.places.destinations[0], settings)
    assert not finding.is_good
    assert "not reachable" in finding.text


def test_the_message_of_an_equally_urgent_control_says_what_the_control_shows(
    settings: Settings, database: Database
) -> None:
    box = with_result(settings, database, RIS.format(port=free_port()), level=2)
    with database.transaction() as session:
        study = session.scalars(select(Study)).one()
        study.series[0].scanned_at = "20260101080000"
        control = add_series(study, session, scanned_at="20260101140000")
        job = add_job(control, session, **done(Outcome.POSITIVE, 2))
        job.findings = [Finding(subtype=ANY, probability=0.9, volume_ml=28.0, present=True)]
        enqueue_job(session, job, box.places)
        row = session.scalars(select(Delivery.id).where(Delivery.job_id == job.id)).one()
    (found,) = read_message(database, row).findings
    assert found.volume_ml == 28.0


PACS = """
[destinations.PACS]
kind = "dicom"
host = "127.0.0.1"
port = 9
ae_title = "PACS"
"""
REFUSED = {"state": SeriesState.REJECTED, "reason": "several images at one position"}
ARRIVING = {"state": SeriesState.RECEIVING}
UNTRIED = {"state": SeriesState.REJECTED, "score": 1, "reason": "another series is better"}


def with_clean_head(settings: Settings, database: Database, *others: dict[str, object]) -> Outbox:
    """Make an outbox with a study in which nothing was found in one series beside others."""
    box = Outbox.make(settings, database, HOOK.format(url="http://127.0.0.1:9/x"))
    with database.transaction() as session:
        study = add_study(session)
        for values in others:
            add_series(study, session, **({"score": None} | values))
        job = add_job(add_series(study, session), session, **done(Outcome.NEGATIVE, 4))
        enqueue_job(session, job, box.places)
    return box


def is_due(box: Outbox, name: str = "DESK") -> bool:
    return bool(claim(box.database, box.places.named(name)))


def refuse_what_arrives(database: Database, reason: str) -> None:
    """Let the series that arrives end as no head, or as one that was refused."""
    with database.transaction() as session:
        arriving = Series.state == SeriesState.RECEIVING
        series = session.scalars(select(Series).where(arriving)).one()
        series.state, series.reason = SeriesState.REJECTED, reason
        update_study(session, series.study)


def test_not_analysed_is_said_once_the_study_has_ended_and_with_its_reason(
    settings: Settings, database: Database
) -> None:
    box = with_clean_head(settings, database, REFUSED | {"series_number": 4}, ARRIVING)
    assert not is_due(box)
    refuse_what_arrives(database, "image type LOCALIZER")
    assert is_due(box)
    message = read_message(database, box.rows()[0].id)
    assert message.outcome is Outcome.NOT_ANALYSED
    assert message.reason == "series 4: several images at one position"


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("image type LOCALIZER", Outcome.NEGATIVE),
        ("several images at one position", Outcome.NOT_ANALYSED),
    ],
)
def test_none_found_is_said_once_the_study_has_ended_and_if_it_ended_so(
    settings: Settings, database: Database, reason: str, outcome: Outcome
) -> None:
    box = with_clean_head(settings, database, ARRIVING)
    assert not is_due(box)
    refuse_what_arrives(database, reason)
    assert is_due(box)
    assert read_message(database, box.rows()[0].id).outcome is outcome


def test_nothing_is_said_of_a_refused_head_while_another_series_is_left_to_try(
    settings: Settings, database: Database
) -> None:
    box = with_clean_head(settings, database, REFUSED, UNTRIED)
    assert not is_due(box)
    with database.transaction() as session:
        second = session.scalars(select(Series).where(Series.score == 1)).one()
        job = add_job(second, session, **done(Outcome.POSITIVE, 1))
        enqueue_job(session, job, box.places)
    assert [row.state.value for row in box.rows()] == ["SUPERSEDED", "WAITING"]
    assert is_due(box)


def test_the_objects_of_a_series_wait_for_no_other(settings: Settings, database: Database) -> None:
    box = Outbox.make(settings, database, PACS)
    box.add("1.2.840.1", level=4, kinds=("SR",))
    with database.transaction() as session:
        add_series(session.scalars(select(Study)).one(), session, None, **ARRIVING)
        update_study(session, session.scalars(select(Study)).one())
    assert is_due(box, "PACS")


def test_a_suspicion_is_said_while_another_series_arrives(
    settings: Settings, database: Database
) -> None:
    box = with_clean_head(settings, database, REFUSED, ARRIVING)
    with database.transaction() as session:
        head = add_series(session.scalars(select(Study)).one(), session)
        enqueue_job(session, add_job(head, session, **done(Outcome.POSITIVE, 2)), box.places)
    assert is_due(box)
    message = read_message(database, box.rows()[-1].id)
    assert (message.outcome, message.level) == (Outcome.POSITIVE, 2)


def with_head_that_turned_clean(
    settings: Settings, database: Database, *others: dict[str, object]
) -> Outbox:
    """Make an outbox with a suspicion and, of the same series later, none; neither was sent."""
    box = Outbox.make(settings, database, HOOK.format(url="http://127.0.0.1:9/x"))
    with database.transaction() as session:
        study = add_study(session)
        for values in others:
            add_series(study, session, **({"score": None} | values))
        head = add_series(study, session)
        enqueue_job(session, add_job(head, session, **done(Outcome.POSITIVE, 2)), box.places)
        head.revision = 2
        enqueue_job(session, add_job(head, session, **done(Outcome.NEGATIVE, 4)), box.places)
    return box


@pytest.mark.parametrize(
    ("others", "outcome"),
    [((ARRIVING,), Outcome.INDETERMINATE), ((REFUSED, ARRIVING), Outcome.NOT_ANALYSED)],
)
def test_what_moved_a_study_up_is_said_at_once_and_how_it_ended_after_it(
    settings: Settings, database: Database, others: tuple[dict[str, object], ...], outcome: Outcome
) -> None:
    box = with_head_that_turned_clean(settings, database, *others)
    target = box.places.named("DESK")
    (suspicion,) = claim(database, target)
    message = read_message(database, suspicion.id)
    assert (message.outcome, message.level, message.reason) == (Outcome.INDETERMINATE, 2, "rule 2")
    waits = [row.last_error for row in listing.read(database, (), pending=True).pending]
    assert waits == [None, "waits for the end of its study"]
    Ledger(database, target).done(suspicion, DeliveryState.DELIVERED)
    assert not is_due(box)
    refuse_what_arrives(database, "image type LOCALIZER")
    (end,) = claim(database, target)
    message = read_message(database, end.id)
    assert message.outcome is outcome
    assert "suspicion in earlier images: rule 2; " in message.reason


def test_what_moved_a_study_up_is_uncertain_while_another_series_is_left_to_try(
    settings: Settings, database: Database
) -> None:
    box = with_head_that_turned_clean(settings, database, REFUSED, UNTRIED)
    (suspicion,) = claim(database, box.places.named("DESK"))
    message = read_message(database, suspicion.id)
    assert (message.outcome, message.level, message.reason) == (Outcome.INDETERMINATE, 2, "rule 2")


def test_a_suspicion_that_newer_images_do_not_show_is_not_told_as_none_found(
    settings: Settings, database: Database
) -> None:
    box = with_head_that_turned_clean(settings, database)
    with database.transaction() as session:
        clean = session.scalars(select(Job).where(Job.outcome == Outcome.NEGATIVE)).one()
        clean.findings = [Finding(subtype=ANY, probability=0.1, volume_ml=0.0, present=False)]
    message = read_message(database, box.rows()[-1].id)
    assert (message.outcome, message.level) == (Outcome.INDETERMINATE, 2)
    earlier = "conflicting results, suspicion in earlier images: rule 2; because NEGATIVE"
    assert message.reason == earlier
    ehr = FhirDestination(kind="fhir", name="EHR", url="http://localhost/")
    assert "valueBoolean" not in json.dumps(fhir.bundle(ehr, message))


def test_what_was_moved_up_for_a_part_of_a_head_alone_is_none_found_where_the_whole_is_clean(
    settings: Settings, database: Database
) -> None:
    box = with_head_that_turned_clean(settings, database)
    with database.transaction() as session:
        session.scalars(select(Study)).one().priority_reason = f"none found {PART_SEEN} (60 mm)"
    message = read_message(database, box.rows()[-1].id)
    assert (message.outcome, message.reason) == (Outcome.NEGATIVE, "because NEGATIVE")


def test_a_suspicion_that_was_not_sent_outlives_a_newer_analysis_that_fails(
    settings: Settings, database: Database
) -> None:
    box = with_clean_head(settings, database)
    with database.transaction() as session:
        head = session.scalars(select(Series)).one()
        head.revision = 2
        enqueue_job(session, add_job(head, session, **done(Outcome.POSITIVE, 2)), box.places)
        head.revision = 3
        failed = done(Outcome.FAILED, 0, state=JobState.FAILED, reason="worker died")
        add_job(head, session, **failed)
        enqueue_study(session, head.study, [], box.places)
    _, suspicion, statement = box.rows()
    assert suspicion.state is statement.state is DeliveryState.WAITING
    message = read_message(database, statement.id)
    assert (message.outcome, message.level) == (Outcome.FAILED, 2)
    assert message.reason == "suspicion in earlier images: rule 2; worker died"


def test_a_study_that_opens_after_the_claim_takes_its_message_back_without_a_try(
    settings: Settings, database: Database
) -> None:
    box = with_clean_head(settings, database)
    target = box.places.named("DESK")
    rows = claim(database, target)
    with database.transaction() as session:
        study = session.scalars(select(Study)).one()
        add_series(study, session, None, **ARRIVING)
        update_study(session, study)
    sender = make_sender(target, database, settings)  # nobody is there: a call would be an error
    assert sender.send(rows, Ledger(database, target)) == 0
    (row,) = box.rows()
    assert (row.state, row.attempts) == (DeliveryState.WAITING, 0)
    assert not is_due(box)
    refuse_what_arrives(database, "image type LOCALIZER")
    assert is_due(box)
    assert read_message(database, row.id).outcome is Outcome.NEGATIVE


def test_of_a_study_that_has_ended_the_newest_message_says_it_all(
    settings: Settings, database: Database
) -> None:
    box = with_head_that_turned_clean(settings, database)
    (end,) = claim(database, box.places.named("DESK"))
    assert end.id == box.rows()[-1].id
    assert [row.state.value for row in box.rows()] == ["SUPERSEDED", "SENDING"]


@pytest.mark.parametrize("was_told", [False, True])
def test_a_destination_that_was_told_none_found_hears_that_the_study_was_not_analysed(
    settings: Settings, database: Database, was_told: bool
) -> None:
    toml = HOOK.format(url="http://127.0.0.1:9/x") + f"levels = {[4] if was_told else [1]}\n"
    box = Outbox.make(settings, database, toml)
    box.add("1.2.840.1", level=4, kinds=())
    target = box.places.named("DESK")
    for told in claim(database, target):
        Ledger(database, target).done(told, DeliveryState.DELIVERED)
    with database.transaction() as session:
        study = session.scalars(select(Study)).one()
        study.priority = 0
        enqueue_study(session, study, [], box.places)
    states = [row.state.value for row in box.rows()]
    assert states == (["DELIVERED", "WAITING"] if was_told else [])


def test_one_message_of_a_study_is_sent_at_a_time(settings: Settings, database: Database) -> None:
    box = with_result(settings, database, HOOK.format(url="http://127.0.0.1:9/x"))
    target = box.places.named("DESK")
    (result,) = claim(database, target)
    call_out(database)
    queue_events(database, box.places)
    box.add("1.2.840.2", level=3, kinds=())
    (of_another,) = claim(database, target)
    assert of_another.study_id != result.study_id
    assert not is_due(box)
    Ledger(database, target).done(result, DeliveryState.DELIVERED)
    assert is_due(box)


def make_older(database: Database, hours: float) -> None:
    """Let the outbox have been written so long ago."""
    with database.transaction() as session:
        session.execute(update(Delivery).values(created_at=database.now() - timedelta(hours=hours)))


def test_the_time_of_a_message_begins_when_its_study_has_ended(
    settings: Settings, database: Database
) -> None:
    box = with_clean_head(settings, database, ARRIVING)
    target = box.places.named("DESK")
    make_older(database, 80)
    assert claim(database, target) == ()
    refuse_what_arrives(database, "image type LOCALIZER")
    with database.reading() as session:
        (standing,) = read_standings(session, ("DESK",))
    assert standing.oldest_s < 3600
    (row,) = claim(database, target)
    Ledger(database, target).failed(row, NotNowError("503"))
    claim(database, target)  # which gives up what is older than 72 hours and was tried
    assert box.states() <= {"WAITING", "SENDING"}


def test_the_time_of_a_suspicion_begins_at_once(settings: Settings, database: Database) -> None:
    box = with_result(settings, database, HOOK.format(url="http://127.0.0.1:9/x"))
    make_older(database, 80)
    claim(database, box.places.named("DESK"))
    with database.reading() as session:
        (standing,) = read_standings(session, ("DESK",))
    assert standing.oldest_s > 79 * 3600
