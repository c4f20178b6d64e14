-- What the register said at an earlier revision.

-- Makes a view that a published layer reads. (With the caller's rights: rows that row-level security hides stay hidden.)
CREATE FUNCTION publish_layer_view(view_name text, definition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE VIEW %I WITH (security_invoker = true) AS %s', view_name, definition);
END $$;
