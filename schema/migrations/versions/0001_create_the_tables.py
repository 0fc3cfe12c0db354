"""Create the tables."""

import sqlalchemy as sa
from alembic import op


revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _create_announcement()
    _create_association()
    _create_commitment()
    _create_compatibility()
    _create_destination()
    _create_procedure_step()
    _create_store_check()
    _create_study()
    _create_user_account()
    _create_identity_event()
    _create_login_session()
    _create_series()
    _create_study_event()
    _create_instance()
    _create_job()
    _create_finding()
    _create_key_picture()
    _create_result_object()
    _create_verdict()
    _create_delivery()


def _create_announcement() -> None:
    op.create_table('announcement',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('series_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('source', sa.String(length=8), nullable=False),
    sa.Column('ae_title', sa.String(length=16), nullable=False),
    sa.Column('instances', sa.Integer(), nullable=False),
    sa.Column('sop_instance_uids', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('announced_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_announcement')),
    sa.UniqueConstraint('series_instance_uid', 'source', 'ae_title', name=op.f('uq_announcement_series_instance_uid_source_ae_title'))
    )
    with op.batch_alter_table('announcement', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_announcement_series_instance_uid'), ['series_instance_uid'], unique=False)


def _create_association() -> None:
    op.create_table('association',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('calling_ae', sa.String(), nullable=False),
    sa.Column('peer', sa.String(), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_association')),
    sa.UniqueConstraint('name', name=op.f('uq_association_name'))
    )
    with op.batch_alter_table('association', schema=None) as batch_op:
        batch_op.create_index('ix_association_open', ['id'], unique=False, sqlite_where=sa.text('closed_at IS NULL'), postgresql_where=sa.text('closed_at IS NULL'))


def _create_commitment() -> None:
    op.create_table('commitment',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('transaction_uid', sa.String(length=64), nullable=False),
    sa.Column('calling_ae', sa.String(length=16), nullable=False),
    sa.Column('references', sa.JSON(), nullable=False),
    sa.Column('requested_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('delivered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_error', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_commitment')),
    sa.UniqueConstraint('name', name=op.f('uq_commitment_name'))
    )
    with op.batch_alter_table('commitment', schema=None) as batch_op:
        batch_op.create_index('ix_commitment_due_at', ['due_at'], unique=False, sqlite_where=sa.text('due_at IS NOT NULL'), postgresql_where=sa.text('due_at IS NOT NULL'))


def _create_compatibility() -> None:
    op.create_table('compatibility',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('oldest_program', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_compatibility'))
    )


def _create_destination() -> None:
    op.create_table('destination',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('held', sa.Boolean(), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('open_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_error', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_destination'))
    )


def _create_procedure_step() -> None:
    op.create_table('procedure_step',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('sop_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('ae_title', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('contents', sa.JSON(), nullable=False),
    sa.Column('begun_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_procedure_step')),
    sa.UniqueConstraint('sop_instance_uid', name=op.f('uq_procedure_step_sop_instance_uid'))
    )


def _create_store_check() -> None:
    op.create_table('store_check',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('checked_until', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_store_check'))
    )


def _create_study() -> None:
    op.create_table('study',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('patient_id', sa.String(), nullable=False),
    sa.Column('patient_name', sa.String(), nullable=False),
    sa.Column('accession_number', sa.String(), nullable=False),
    sa.Column('patient_birth_date', sa.String(), nullable=False),
    sa.Column('patient_sex', sa.String(), nullable=False),
    sa.Column('issuer_of_patient_id', sa.String(), nullable=False),
    sa.Column('identity_alert', sa.String(), nullable=True),
    sa.Column('study_date', sa.String(), nullable=False),
    sa.Column('study_time', sa.String(), nullable=False),
    sa.Column('study_description', sa.String(), nullable=False),
    sa.Column('station_name', sa.String(), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('state', sa.Enum('RECEIVING', 'READY', 'RUNNING', 'DONE', name='studystate', native_enum=False, length=16), nullable=False),
    sa.Column('outcome', sa.Enum('POSITIVE', 'NEGATIVE', 'INDETERMINATE', 'NOT_ANALYSED', 'FAILED', name='outcome', native_enum=False, length=16), nullable=True),
    sa.Column('reason', sa.String(), nullable=True),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('priority_reason', sa.String(), nullable=True),
    sa.Column('ready_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('model', sa.String(), nullable=True),
    sa.Column('coverage', sa.JSON(), nullable=True),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.Column('second_choice_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('swept_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('stated_revision', sa.Integer(), nullable=True),
    sa.Column('statement_due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('acknowledged_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('acknowledged_by', sa.String(), nullable=True),
    sa.Column('escalated_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('unread', sa.Boolean(), sa.Computed('acknowledged_at IS NULL OR finished_at IS NULL OR acknowledged_at < finished_at', persisted=True), nullable=False),
    sa.Column('place', sa.Integer(), sa.Computed('CASE WHEN NOT (acknowledged_at IS NULL OR finished_at IS NULL OR acknowledged_at < finished_at) THEN -1 WHEN priority IN (1, 2, 3) THEN 4 - priority ELSE 0 END', persisted=True), nullable=False),
    sa.Column('search_text', sa.String(), sa.Computed("lower(substr(patient_name, 1, 200) || ' ' || substr(patient_id, 1, 64) || ' ' || substr(accession_number, 1, 64))", persisted=True), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), server_default=sa.text('(CURRENT_TIMESTAMP)'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_study')),
    sa.UniqueConstraint('study_instance_uid', name=op.f('uq_study_study_instance_uid'))
    )
    with op.batch_alter_table('study', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_study_accession_number'), ['accession_number'], unique=False)
        batch_op.create_index(batch_op.f('ix_study_changed_at'), ['changed_at'], unique=False)
        batch_op.create_index('ix_study_critical_unseen', ['finished_at'], unique=False, sqlite_where=sa.text('place + 0 = 3 AND escalated_at IS NULL'), postgresql_where=sa.text('place + 0 = 3 AND escalated_at IS NULL'))
        batch_op.create_index('ix_study_files_kept', ['finished_at'], unique=False, sqlite_where=sa.text("state || '' = 'DONE' AND outcome || '' IN ('POSITIVE', 'NEGATIVE', 'INDETERMINATE') AND swept_at IS NULL"), postgresql_where=sa.text("state || '' = 'DONE' AND outcome || '' IN ('POSITIVE', 'NEGATIVE', 'INDETERMINATE') AND swept_at IS NULL"))
        batch_op.create_index('ix_study_identity_alert', ['id'], unique=False, sqlite_where=sa.text('identity_alert IS NOT NULL'), postgresql_where=sa.text('identity_alert IS NOT NULL'))
        batch_op.create_index(batch_op.f('ix_study_outcome_place_received_at_id'), ['outcome', 'place', 'received_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_study_place_finished_at'), ['place', 'finished_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_study_place_received_at_id_search_text'), ['place', 'received_at', 'id', 'search_text'], unique=False)
        batch_op.create_index(batch_op.f('ix_study_priority_place_received_at_id'), ['priority', 'place', 'received_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_study_second_choice_at'), ['second_choice_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_study_state_place_received_at_id'), ['state', 'place', 'received_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_study_station_name_place_received_at_id'), ['station_name', 'place', 'received_at', 'id'], unique=False)
        batch_op.create_index('ix_study_unstated', ['id'], unique=False, sqlite_where=sa.text("state || '' = 'DONE' AND outcome || '' IN ('NOT_ANALYSED', 'FAILED') AND (stated_revision IS NULL OR stated_revision <> revision)"), postgresql_where=sa.text("state || '' = 'DONE' AND outcome || '' IN ('NOT_ANALYSED', 'FAILED') AND (stated_revision IS NULL OR stated_revision <> revision)"))


def _create_user_account() -> None:
    op.create_table('user_account',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('role', sa.Enum('READER', 'OPERATOR', 'ADMIN', name='role', native_enum=False, length=16), nullable=False),
    sa.Column('password_hash', sa.String(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_user_account')),
    sa.UniqueConstraint('name', name=op.f('uq_user_account_name'))
    )


def _create_identity_event() -> None:
    op.create_table('identity_event',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('study_id', sa.Integer(), nullable=False),
    sa.Column('series_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.Enum('COMPLETED', 'CORRECTED', 'MISMATCH', name='identitychange', native_enum=False, length=16), nullable=False),
    sa.Column('differs', sa.String(), nullable=False),
    sa.Column('earlier', sa.JSON(), nullable=False),
    sa.Column('later', sa.JSON(), nullable=False),
    sa.Column('noted_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('resolved_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_identity_event_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_event'))
    )
    with op.batch_alter_table('identity_event', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_identity_event_study_id'), ['study_id'], unique=False)


def _create_login_session() -> None:
    op.create_table('login_session',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('token_sha256', sa.String(length=64), nullable=False),
    sa.Column('csrf_token', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('began_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ends_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_login_session_user_id_user_account'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_login_session')),
    sa.UniqueConstraint('token_sha256', name=op.f('uq_login_session_token_sha256'))
    )
    with op.batch_alter_table('login_session', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_login_session_ends_at'), ['ends_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_login_session_user_id'), ['user_id'], unique=False)


def _create_series() -> None:
    op.create_table('series',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('study_id', sa.Integer(), nullable=False),
    sa.Column('series_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('modality', sa.String(), nullable=False),
    sa.Column('description', sa.String(), nullable=False),
    sa.Column('first_instance_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_instance_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('state', sa.Enum('RECEIVING', 'SELECTED', 'REJECTED', name='seriesstate', native_enum=False, length=16), nullable=False),
    sa.Column('completed_by', sa.String(), nullable=True),
    sa.Column('score', sa.Double(), nullable=True),
    sa.Column('reason', sa.String(), nullable=True),
    sa.Column('selection_version', sa.String(length=64), nullable=True),
    sa.Column('scanned_at', sa.String(length=26), nullable=False),
    sa.Column('from_mm', sa.Double(), nullable=True),
    sa.Column('to_mm', sa.Double(), nullable=True),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.Column('removed_instances', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_series_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_series')),
    sa.UniqueConstraint('study_id', 'series_instance_uid', name=op.f('uq_series_study_id_series_instance_uid'))
    )
    with op.batch_alter_table('series', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_series_state'), ['state'], unique=False)
        batch_op.create_index(batch_op.f('ix_series_study_id'), ['study_id'], unique=False)


def _create_study_event() -> None:
    op.create_table('study_event',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('study_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('queued_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('detail', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_study_event_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_study_event'))
    )
    with op.batch_alter_table('study_event', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_study_event_kind_created_at'), ['kind', 'created_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_study_event_queued_at'), ['queued_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_study_event_study_id'), ['study_id'], unique=False)


def _create_instance() -> None:
    op.create_table('instance',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('series_id', sa.Integer(), nullable=False),
    sa.Column('association_id', sa.Integer(), nullable=True),
    sa.Column('sop_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('sop_class_uid', sa.String(length=64), nullable=False),
    sa.Column('transfer_syntax_uid', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('path', sa.String(), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('stored_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('slice_position_mm', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('header', sa.JSON(), nullable=True),
    sa.Column('left_out', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['association_id'], ['association.id'], name=op.f('fk_instance_association_id_association')),
    sa.ForeignKeyConstraint(['series_id'], ['series.id'], name=op.f('fk_instance_series_id_series')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_instance')),
    sa.UniqueConstraint('path', name=op.f('uq_instance_path')),
    sa.UniqueConstraint('series_id', 'sop_instance_uid', 'version', name=op.f('uq_instance_series_id_sop_instance_uid_version'))
    )
    with op.batch_alter_table('instance', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_instance_series_id'), ['series_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_instance_sop_instance_uid'), ['sop_instance_uid'], unique=False)


def _create_job() -> None:
    op.create_table('job',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('series_id', sa.Integer(), nullable=False),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.Column('state', sa.Enum('READY', 'RUNNING', 'DONE', 'FAILED', 'SUPERSEDED', name='jobstate', native_enum=False, length=16), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('token', sa.Integer(), nullable=False),
    sa.Column('owner', sa.String(), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_error', sa.String(), nullable=True),
    sa.Column('waits_for', sa.String(length=32), nullable=True),
    sa.Column('waits_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('worker_faults', sa.Integer(), nullable=False),
    sa.Column('outcome', sa.Enum('POSITIVE', 'NEGATIVE', 'INDETERMINATE', 'NOT_ANALYSED', 'FAILED', name='outcome', native_enum=False, length=16), nullable=True),
    sa.Column('reason', sa.String(), nullable=True),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('priority_reason', sa.String(), nullable=True),
    sa.Column('rule_version', sa.String(), nullable=True),
    sa.Column('model', sa.String(), nullable=True),
    sa.Column('model_sha256', sa.String(length=64), nullable=True),
    sa.Column('measured', sa.JSON(), nullable=True),
    sa.Column('look', sa.JSON(), nullable=True),
    sa.Column('coverage', sa.JSON(), nullable=True),
    sa.Column('timings_s', sa.JSON(), nullable=True),
    sa.Column('slices', sa.JSON(), nullable=True),
    sa.ForeignKeyConstraint(['series_id'], ['series.id'], name=op.f('fk_job_series_id_series')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_job')),
    sa.UniqueConstraint('series_id', 'revision', name=op.f('uq_job_series_id_revision'))
    )
    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_job_series_id'), ['series_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_job_state'), ['state'], unique=False)


def _create_finding() -> None:
    op.create_table('finding',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('job_id', sa.Integer(), nullable=False),
    sa.Column('subtype', sa.String(length=8), nullable=False),
    sa.Column('probability', sa.Double(), nullable=False),
    sa.Column('volume_ml', sa.Double(), nullable=False),
    sa.Column('present', sa.Boolean(), nullable=False),
    sa.Column('claim', sa.Enum('REPORTED', 'HINTED', 'NOT_TOLD_APART', name='claim', native_enum=False, length=16), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_finding_job_id_job')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_finding')),
    sa.UniqueConstraint('job_id', 'subtype', name=op.f('uq_finding_job_id_subtype'))
    )
    with op.batch_alter_table('finding', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_finding_job_id'), ['job_id'], unique=False)


def _create_key_picture() -> None:
    op.create_table('key_picture',
    sa.Column('job_id', sa.Integer(), nullable=False),
    sa.Column('jpeg', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_key_picture_job_id_job')),
    sa.PrimaryKeyConstraint('job_id', name=op.f('pk_key_picture'))
    )


def _create_result_object() -> None:
    op.create_table('result_object',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('job_id', sa.Integer(), nullable=True),
    sa.Column('study_id', sa.Integer(), nullable=True),
    sa.Column('study_revision', sa.Integer(), nullable=True),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('sop_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('path', sa.String(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('audience', sa.String(length=8), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_result_object_job_id_job')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_result_object_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_result_object'))
    )
    with op.batch_alter_table('result_object', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_result_object_job_id'), ['job_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_result_object_sop_instance_uid'), ['sop_instance_uid'], unique=False)
        batch_op.create_index(batch_op.f('ix_result_object_study_id'), ['study_id'], unique=False)


def _create_verdict() -> None:
    op.create_table('verdict',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('study_id', sa.Integer(), nullable=False),
    sa.Column('job_id', sa.Integer(), nullable=True),
    sa.Column('agrees', sa.Boolean(), nullable=False),
    sa.Column('cause', sa.Enum('MISSED_BLEED', 'ARTEFACT', 'CALCIFICATION', 'DURA', 'POST_OPERATIVE', 'TUMOUR', 'WRONG_TYPE', 'WRONG_VOLUME', 'OTHER', name='disagreementcause', native_enum=False, length=16), nullable=True),
    sa.Column('comment', sa.String(), nullable=False),
    sa.Column('outcome', sa.Enum('POSITIVE', 'NEGATIVE', 'INDETERMINATE', 'NOT_ANALYSED', 'FAILED', name='outcome', native_enum=False, length=16), nullable=True),
    sa.Column('given_by', sa.String(), nullable=False),
    sa.Column('given_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_verdict_job_id_job')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_verdict_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_verdict'))
    )
    with op.batch_alter_table('verdict', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_verdict_study_id'), ['study_id'], unique=False)


def _create_delivery() -> None:
    op.create_table('delivery',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('destination', sa.String(length=64), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('event', sa.String(length=32), server_default='RESULT', nullable=False),
    sa.Column('study_id', sa.Integer(), nullable=False),
    sa.Column('job_id', sa.Integer(), nullable=True),
    sa.Column('object_id', sa.Integer(), nullable=True),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('state', sa.Enum('WAITING', 'SENDING', 'SENT', 'DELIVERED', 'COMMITTED', 'FAILED', 'SUPERSEDED', name='deliverystate', native_enum=False, length=16), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('token', sa.Integer(), nullable=False),
    sa.Column('owner', sa.String(), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('committed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('transaction_uid', sa.String(length=64), nullable=True),
    sa.Column('last_error', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_delivery_job_id_job')),
    sa.ForeignKeyConstraint(['object_id'], ['result_object.id'], name=op.f('fk_delivery_object_id_result_object')),
    sa.ForeignKeyConstraint(['study_id'], ['study.id'], name=op.f('fk_delivery_study_id_study')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_delivery')),
    sa.UniqueConstraint('destination', 'key', name=op.f('uq_delivery_destination_key'))
    )
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_delivery_key'), ['key'], unique=False)
        batch_op.create_index(batch_op.f('ix_delivery_object_id'), ['object_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_delivery_state_destination_due_at'), ['state', 'destination', 'due_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_delivery_study_id'), ['study_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_delivery_transaction_uid'), ['transaction_uid'], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_delivery_transaction_uid'))
        batch_op.drop_index(batch_op.f('ix_delivery_study_id'))
        batch_op.drop_index(batch_op.f('ix_delivery_state_destination_due_at'))
        batch_op.drop_index(batch_op.f('ix_delivery_object_id'))
        batch_op.drop_index(batch_op.f('ix_delivery_key'))
    op.drop_table('delivery')
    with op.batch_alter_table('verdict', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_verdict_study_id'))
    op.drop_table('verdict')
    with op.batch_alter_table('result_object', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_result_object_study_id'))
        batch_op.drop_index(batch_op.f('ix_result_object_sop_instance_uid'))
        batch_op.drop_index(batch_op.f('ix_result_object_job_id'))
    op.drop_table('result_object')
    op.drop_table('key_picture')
    with op.batch_alter_table('finding', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_finding_job_id'))
    op.drop_table('finding')
    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_job_state'))
        batch_op.drop_index(batch_op.f('ix_job_series_id'))
    op.drop_table('job')
    with op.batch_alter_table('instance', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_instance_sop_instance_uid'))
        batch_op.drop_index(batch_op.f('ix_instance_series_id'))
    op.drop_table('instance')
    with op.batch_alter_table('study_event', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_study_event_study_id'))
        batch_op.drop_index(batch_op.f('ix_study_event_queued_at'))
        batch_op.drop_index(batch_op.f('ix_study_event_kind_created_at'))
    op.drop_table('study_event')
    with op.batch_alter_table('series', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_series_study_id'))
        batch_op.drop_index(batch_op.f('ix_series_state'))
    op.drop_table('series')
    with op.batch_alter_table('login_session', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_login_session_user_id'))
        batch_op.drop_index(batch_op.f('ix_login_session_ends_at'))
    op.drop_table('login_session')
    with op.batch_alter_table('identity_event', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_identity_event_study_id'))
    op.drop_table('identity_event')
    op.drop_table('user_account')
    with op.batch_alter_table('study', schema=None) as batch_op:
        batch_op.drop_index('ix_study_unstated', sqlite_where=sa.text("state || '' = 'DONE' AND outcome || '' IN ('NOT_ANALYSED', 'FAILED') AND (stated_revision IS NULL OR stated_revision <> revision)"), postgresql_where=sa.text("state || '' = 'DONE' AND outcome || '' IN ('NOT_ANALYSED', 'FAILED') AND (stated_revision IS NULL OR stated_revision <> revision)"))
        batch_op.drop_index(batch_op.f('ix_study_station_name_place_received_at_id'))
        batch_op.drop_index(batch_op.f('ix_study_state_place_received_at_id'))
        batch_op.drop_index(batch_op.f('ix_study_second_choice_at'))
        batch_op.drop_index(batch_op.f('ix_study_priority_place_received_at_id'))
        batch_op.drop_index(batch_op.f('ix_study_place_received_at_id_search_text'))
        batch_op.drop_index(batch_op.f('ix_study_place_finished_at'))
        batch_op.drop_index(batch_op.f('ix_study_outcome_place_received_at_id'))
        batch_op.drop_index('ix_study_identity_alert', sqlite_where=sa.text('identity_alert IS NOT NULL'), postgresql_where=sa.text('identity_alert IS NOT NULL'))
        batch_op.drop_index('ix_study_files_kept', sqlite_where=sa.text("state || '' = 'DONE' AND outcome || '' IN ('POSITIVE', 'NEGATIVE', 'INDETERMINATE') AND swept_at IS NULL"), postgresql_where=sa.text("state || '' = 'DONE' AND outcome || '' IN ('POSITIVE', 'NEGATIVE', 'INDETERMINATE') AND swept_at IS NULL"))
        batch_op.drop_index('ix_study_critical_unseen', sqlite_where=sa.text('place + 0 = 3 AND escalated_at IS NULL'), postgresql_where=sa.text('place + 0 = 3 AND escalated_at IS NULL'))
        batch_op.drop_index(batch_op.f('ix_study_changed_at'))
        batch_op.drop_index(batch_op.f('ix_study_accession_number'))
    op.drop_table('study')
    op.drop_table('store_check')
    op.drop_table('procedure_step')
    op.drop_table('destination')
    op.drop_table('compatibility')
    with op.batch_alter_table('commitment', schema=None) as batch_op:
        batch_op.drop_index('ix_commitment_due_at', sqlite_where=sa.text('due_at IS NOT NULL'), postgresql_where=sa.text('due_at IS NOT NULL'))
    op.drop_table('commitment')
    with op.batch_alter_table('association', schema=None) as batch_op:
        batch_op.drop_index('ix_association_open', sqlite_where=sa.text('closed_at IS NULL'), postgresql_where=sa.text('closed_at IS NULL'))
    op.drop_table('association')
    with op.batch_alter_table('announcement', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_announcement_series_instance_uid'))
    op.drop_table('announcement')
