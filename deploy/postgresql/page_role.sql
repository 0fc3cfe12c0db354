-- The page's role: it reads everything and writes what readers do, and nothing else.
-- Run it as the role that owns the tables and migrates them, after `python -m schema upgrade` and
-- again after each update; it may be run as often as you like:
--   psql "$OWNERS_URL" --set ON_ERROR_STOP=1 --single-transaction --file deploy/postgresql/page_role.sql
-- An owner without CREATEROLE needs a DBA to make both roles before:
--   CREATE ROLE triage_page NOLOGIN;
--   CREATE ROLE triage_page_login LOGIN IN ROLE triage_page PASSWORD '...';

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'triage_page') THEN
        CREATE ROLE triage_page NOLOGIN;
    END IF;
END
$$;

GRANT USAGE ON SCHEMA public TO triage_page;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO triage_page;
-- Tables that a later migration makes.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO triage_page;

-- Who may look, and who is logged in.
GRANT INSERT, UPDATE, DELETE ON user_account, login_session TO triage_page;
-- What readers said, and what nobody saw in time: written once, never changed.
GRANT INSERT ON verdict, study_event TO triage_page;
-- That the page runs; its first sign of life takes away those of its predecessors.
GRANT INSERT, UPDATE, DELETE ON process TO triage_page;
GRANT USAGE ON SEQUENCE
    user_account_id_seq, login_session_id_seq, verdict_id_seq, study_event_id_seq,
    process_id_seq TO triage_page;
-- Of a study, whether it was seen and called out, and when that changed.
GRANT UPDATE (acknowledged_at, acknowledged_by, escalated_at, changed_at) ON study TO triage_page;
