-- Who took what out of the internal layers, and when.

-- One row an export, written before its first byte leaves. No revision: nothing of the register changes.
CREATE TABLE export_log (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor       text        NOT NULL,
    layer       text        NOT NULL,
    -- the parameters of the request, as asked
    filter      text        NOT NULL,
    format      text        NOT NULL,
    row_count   bigint      NOT NULL,
    -- where the request came from; empty for the command line
    address     text        NOT NULL,
    CONSTRAINT export_log_pkey PRIMARY KEY (id),
    CONSTRAINT export_log_actor_given CHECK (actor <> ''),
    CONSTRAINT export_log_rows_counted CHECK (row_count >= 0)
);
COMMENT ON TABLE export_log IS 'exports of internal layers, append only';

CREATE TRIGGER export_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON export_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change();
