-- Who may see and change which rows: accounts, sessions, tokens, and row-level security as the second line behind the service's
-- own checks. The service works as the role `sizhi_app`; what that may do is granted after every migration (src/store/roles.rs),
-- because a role belongs to the cluster and a restored backup brings no grants along.

-- ---------------------------------------------------------------------------------------------------------------
-- Jurisdiction
-- ---------------------------------------------------------------------------------------------------------------

-- The divisions that the transaction speaks for: `*`, or significant digits of division codes joined by commas. Nothing set: none.
CREATE FUNCTION in_jurisdiction(division_code text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT current_setting('sizhi.jurisdiction', true) = '*'
        OR left(division_code, 2) = ANY (string_to_array(current_setting('sizhi.jurisdiction', true), ','))
        OR left(division_code, 4) = ANY (string_to_array(current_setting('sizhi.jurisdiction', true), ','))
        OR division_code = ANY (string_to_array(current_setting('sizhi.jurisdiction', true), ','))
$$;

-- The same as a condition of a policy. The sub-selects depend on no row, so the setting is read and taken apart once a statement,
-- not once a row (a count over a million rows: 0.23–0.38 s against 0.78–0.82 s with the function above).
CREATE FUNCTION jurisdiction_condition(division text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT format(
        '((SELECT current_setting(''sizhi.jurisdiction'', true)) = ''*''
          OR left((%1$s)::text, 2) = ANY ((SELECT string_to_array(current_setting(''sizhi.jurisdiction'', true), '',''))::text[])
          OR left((%1$s)::text, 4) = ANY ((SELECT string_to_array(current_setting(''sizhi.jurisdiction'', true), '',''))::text[])
          OR (%1$s)::text = ANY ((SELECT string_to_array(current_setting(''sizhi.jurisdiction'', true), '',''))::text[]))', division)
$$;

-- The tables under row-level security.
CREATE TABLE protected_table (
    name        text NOT NULL,
    -- SQL expression over the table's columns: the division that a row belongs to
    division    text NOT NULL,
    CONSTRAINT protected_table_pkey PRIMARY KEY (name)
);

-- The log holds images of rows, which are as secret as the rows. What is logged of other tables stays open.
ALTER TABLE change ENABLE ROW LEVEL SECURITY;
CREATE POLICY change_of_open_tables ON change FOR SELECT
    USING (layer <> ALL (ARRAY(SELECT name COLLATE "C" FROM protected_table)));

-- Rows of this table are for those in whose jurisdiction their division (an expression over the table's columns) lies.
CREATE FUNCTION protect_by_jurisdiction(table_name text, division text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO protected_table (name, division) VALUES (table_name, division);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY %1$s_jurisdiction ON %1$I USING (%2$s) WITH CHECK (%2$s)',
        table_name, jurisdiction_condition(division));
    -- A row that moved from one division to another shows both, so it is for those who may see both.
    EXECUTE format('CREATE POLICY change_of_%1$s ON change FOR SELECT USING (layer = %1$L
        AND (after IS NULL OR (SELECT %2$s FROM json_populate_record(NULL::%1$I, after)))
        AND (before IS NULL OR (SELECT %2$s FROM json_populate_record(NULL::%1$I, before))))',
        table_name, jurisdiction_condition(division));
END $$;

-- The log is written with the rights of its owner: whoever may write rows writes their log, and can write nothing else into it.
ALTER FUNCTION open_revision(text, text, text) SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION log_changes() SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION seal_revision() SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;

-- ---------------------------------------------------------------------------------------------------------------
-- Accounts. Not tracked: they are no facts about land, and undoing an import must not bring a password back.
-- ---------------------------------------------------------------------------------------------------------------

CREATE TABLE account (
    name                    text        COLLATE "C" NOT NULL,
    display_name            text        NOT NULL,
    role                    text        NOT NULL,
    -- six-digit division codes; `*` alone: everywhere
    divisions               text[]      NOT NULL,
    -- Argon2id as a PHC string, salt and cost included
    password_hash           text        NOT NULL,
    -- set by whoever gave the password out; it restricts nothing and is shown at every login
    must_change_password    boolean     NOT NULL,
    disabled                boolean     NOT NULL DEFAULT false,
    created_at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    password_changed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_login_at           timestamptz,
    CONSTRAINT account_pkey PRIMARY KEY (name),
    CONSTRAINT account_name_format CHECK (name ~ '^[a-z][a-z0-9._-]{1,31}$'),
    CONSTRAINT account_display_name_given CHECK (display_name <> '' AND length(display_name) <= 64),
    CONSTRAINT account_role_known CHECK (role IN ('staff', 'planner', 'editor', 'admin')),
    CONSTRAINT account_divisions_format CHECK (array_to_string(divisions, ',') ~ '^([*]|[1-9][0-9]{5}(,[1-9][0-9]{5})*)?$'),
    -- who gives out rights everywhere has them everywhere
    CONSTRAINT account_admin_everywhere CHECK (role <> 'admin' OR divisions = '{*}'),
    CONSTRAINT account_password_hashed CHECK (password_hash LIKE '$argon2id$%')
);

-- A login. The key is the SHA-256 of the cookie's value: who reads this table can log in as nobody.
CREATE TABLE session (
    hash            bytea       NOT NULL,
    account         text        COLLATE "C" NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at      timestamptz NOT NULL,
    -- to the minute
    last_seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT session_pkey PRIMARY KEY (hash),
    CONSTRAINT session_account_fkey FOREIGN KEY (account) REFERENCES account (name)
);
CREATE INDEX session_account_idx ON session (account);
CREATE INDEX session_expires_idx ON session (expires_at);

-- A program's credential. Role and divisions bound it further than its account; what the account loses, the token loses too.
CREATE TABLE api_token (
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    account         text        COLLATE "C" NOT NULL,
    name            text        NOT NULL,
    -- SHA-256 of the token
    hash            bytea       NOT NULL,
    role            text        NOT NULL,
    divisions       text[]      NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by      text        NOT NULL,
    expires_at      timestamptz NOT NULL,
    revoked_at      timestamptz,
    -- to the minute
    last_used_at    timestamptz,
    CONSTRAINT api_token_pkey PRIMARY KEY (id),
    CONSTRAINT api_token_hash_key UNIQUE (hash),
    CONSTRAINT api_token_account_fkey FOREIGN KEY (account) REFERENCES account (name),
    CONSTRAINT api_token_name_given CHECK (name <> '' AND length(name) <= 64),
    CONSTRAINT api_token_role_known CHECK (role IN ('staff', 'planner', 'editor', 'admin')),
    CONSTRAINT api_token_divisions_format CHECK (array_to_string(divisions, ',') ~ '^([*]|[1-9][0-9]{5}(,[1-9][0-9]{5})*)?$')
);
CREATE INDEX api_token_account_idx ON api_token (account);

-- Failed logins, twice each: by account and by address. In the database, so that several servers count together.
CREATE TABLE login_failure (
    kind    text        NOT NULL,
    key     text        COLLATE "C" NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT login_failure_kind_known CHECK (kind IN ('account', 'address'))
);
CREATE INDEX login_failure_key_idx ON login_failure (kind, key, at);
CREATE INDEX login_failure_at_idx ON login_failure (at);

-- Who did what to which account, append only. `detail` never holds a password, a token or a hash.
CREATE TABLE account_event (
    id      bigint      GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text        NOT NULL,
    action  text        NOT NULL,
    account text        COLLATE "C" NOT NULL,
    detail  jsonb       NOT NULL DEFAULT '{}',
    CONSTRAINT account_event_pkey PRIMARY KEY (id),
    CONSTRAINT account_event_actor_given CHECK (actor <> '')
);
CREATE INDEX account_event_account_idx ON account_event (account, id);

CREATE FUNCTION refuse_account_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log of accounts is append only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER account_event_append_only BEFORE UPDATE OR DELETE ON account_event
    FOR EACH ROW EXECUTE FUNCTION refuse_account_event_change();
CREATE TRIGGER account_event_no_truncate BEFORE TRUNCATE ON account_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_account_event_change();
