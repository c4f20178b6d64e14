-- Who may see and change which rows: the second line behind the service's own checks.

-- The divisions that the transaction speaks for: `*`, or significant digits of division codes joined by commas. Nothing set: none.
CREATE FUNCTION in_jurisdiction(division_code text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT current_setting('sizhi.jurisdiction', true) = '*'
        OR left(division_code, 2) = ANY (string_to_array(current_setting('sizhi.jurisdiction', true), ','))
        OR left(division_code, 4) = ANY (string_to_array(current_setting('sizhi.jurisdiction', true), ','))
        OR division_code = ANY (string_to_array(current_setting('sizhi.jurisdiction', true), ','))
$$;

-- Rows of this table are for those in whose jurisdiction their division (an expression over the table's columns) lies.
CREATE FUNCTION protect_by_jurisdiction(table_name text, division text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY %1$s_jurisdiction ON %1$I USING (in_jurisdiction(%2$s)) WITH CHECK (in_jurisdiction(%2$s))',
        table_name, division);
END $$;
