-- The timers of turnover land (domain.md §5), without calls and each named once: they were nearly half of what PostgreSQL takes to read the
-- ledger (EXPLAIN ANALYZE of a load of 150,000 records: 3.4 s before, 1.9 after). The columns are those of 0005, two of them said otherwise.

-- Full years from one day to a later one; from 29 February they are full on the 28th. As digits of a date: the day after the later one, less
-- one, is the last day of February or behind it whether that has 28 days or 29. (An expression that names each day once, and STABLE as
-- to_char is: PostgreSQL then puts it in the place of the call, which a query with a FROM never was.)
CREATE OR REPLACE FUNCTION full_years(from_day date, to_day date) RETURNS integer LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (to_char(to_day + 1, 'YYYYMMDD')::integer - 1 - to_char(from_day, 'YYYYMMDD')::integer) / 10000
$$;

-- publish_layer_view for a view that is there: the same columns, whatever reads them stays. For this migration alone: it does not look
-- whether as_of knows what the view reads, which is what it read before.
CREATE FUNCTION replace_layer_view(view_name text, definition text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own_path text := current_setting('search_path');
BEGIN
    EXECUTE format('CREATE OR REPLACE VIEW public.%I WITH (security_invoker = true) AS %s', view_name, definition);
    PERFORM set_config('search_path', 'as_of, public', true);
    EXECUTE format('CREATE OR REPLACE VIEW as_of.%I WITH (security_invoker = true) AS %s', view_name, definition);
    PERFORM set_config('search_path', own_path, true);
END $$;

-- (The timers are those of src/domain/ledger/timers.rs; a test holds the two equal.)
SELECT replace_layer_view('layer_turnover_parcels', $view$
SELECT r.id AS feature_id, r.geom, nullif(r.valid_from, '-infinity') AS valid_from, nullif(r.valid_to, 'infinity') AS valid_to,
       r.id, r.number, r.name, r.county_code, c.name AS county_name,
       r.park_code, p.name AS park_name, r.block_id, round(r.inside_share::numeric, 4) AS inside_share,
       r.stated_park, CASE WHEN r.stated_park IS NOT NULL THEN r.stated_park_code IS NOT DISTINCT FROM r.park_code END AS park_agrees,
       r.state, ledger_state_label('turnover', r.state) AS state_label, r.held_state, r.state_on,
       r.stated_area_m2, round(r.area_m2::numeric, 2) AS computed_area_m2,
       round((r.area_m2 / 10000)::numeric, 4) AS computed_area_ha, round((r.area_m2 * 3 / 2000)::numeric, 2) AS computed_area_mu,
       r.location, r.land_use_system, r.land_use_code, r.planned_use, r.batch_name, r.approval_year,
       r.approval_doc_city, r.approval_doc_province, r.approved_on, r.approved_area_m2, r.new_construction_area_m2,
       r.approval_kind, r.acquired_area_m2, r.not_demolished_area_m2, r.compensation_done, r.site_condition,
       r.planned_supply_on, r.supply_mode, r.target_industry, r.control_indicators, r.contract_no, r.supervision_no,
       r.land_user, r.price_10k_yuan, r.supplied_area_m2, r.signed_on, r.agreed_delivery_on, r.delivered_on,
       r.delivered_area_m2, r.undelivered_area_m2, r.agreed_start_on, r.started_on, r.agreed_finish_on,
       r.finished_on, r.started_area_m2, r.invested_percent, r.stopped_on, r.mortgage, r.seized_by, r.seized_on,
       r.seized_until_on, r.idle_cause, r.proposed_disposal, r.registered_area_m2, r.title_no, r.note,
       r.end_reason, r.illustrative, r.source, r.source_crs, r.revision AS row_revision,
       s.sets AS derived_sets,
       t.approval_age_years,
       (ARRAY['0-1', '1-2', '2-3', '3-5', '5+'])[1 + width_bucket(t.approval_age_years, ARRAY[1, 2, 3, 5])] AS approval_age,
       CASE WHEN s.supplied AND NOT s.started AND r.agreed_start_on < s.day THEN s.day - r.agreed_start_on END AS start_overdue_days,
       CASE WHEN s.supplied AND NOT s.finished AND r.agreed_finish_on < s.day THEN s.day - r.agreed_finish_on END AS finish_overdue_days,
       (ARRAY['one_year', 'two_years'])[width_bucket(full_years(t.idle_since, s.day), ARRAY[1, 2])] AS idle_stage
FROM turnover_parcel r
JOIN division c ON c.code = r.county_code
LEFT JOIN park p ON p.code = r.park_code
CROSS JOIN LATERAL (
    SELECT timer_day() AS day, turnover_sets(r.state, r.held_state) AS sets,
           coalesce(r.held_state, r.state) IN ('supplied', 'delivered', 'started', 'completed') AS supplied,
           coalesce(r.started_on <= timer_day(), coalesce(r.held_state, r.state) IN ('started', 'completed')) AS started,
           coalesce(r.finished_on <= timer_day(), coalesce(r.held_state, r.state) = 'completed') AS finished) s
CROSS JOIN LATERAL (
    SELECT CASE WHEN 'approved_not_supplied' = ANY (s.sets) AND r.approved_on <= s.day THEN full_years(r.approved_on, s.day) END AS approval_age_years,
           CASE WHEN s.supplied AND NOT s.finished THEN
               CASE WHEN NOT s.started AND r.agreed_start_on <= s.day THEN r.agreed_start_on
                    WHEN s.started AND r.stopped_on <= s.day
                         AND (r.started_area_m2 / coalesce(nullif(r.supplied_area_m2, 0), r.area_m2) < 1.0 / 3 OR r.invested_percent < 25) THEN r.stopped_on END
           END AS idle_since) t
$view$);

DROP FUNCTION replace_layer_view(text, text);
