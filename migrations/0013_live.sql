-- Servers keep for a moment who somebody is (src/api/callers.rs). This bell lets all of them forget it as soon as rights change; what only
-- notes that somebody was here (last_seen_at, last_used_at) rings none.

CREATE FUNCTION ring_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('sizhi_access', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER account_rings AFTER UPDATE OF display_name, role, divisions, disabled, must_change_password OR DELETE ON account
    FOR EACH STATEMENT EXECUTE FUNCTION ring_access();
CREATE TRIGGER api_token_rings AFTER UPDATE OF role, divisions, expires_at, revoked_at OR DELETE ON api_token
    FOR EACH STATEMENT EXECUTE FUNCTION ring_access();
CREATE TRIGGER session_rings AFTER UPDATE OF account, expires_at OR DELETE ON session
    FOR EACH STATEMENT EXECUTE FUNCTION ring_access();
