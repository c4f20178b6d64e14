-- Checks of overlaps (重叠检查): papers about the register, and no part of it. They make no revision; undoing an import leaves them.

CREATE TABLE overlap_check (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    title           text        NOT NULL,
    actor           text        NOT NULL,
    -- the division codes that its maker spoke for (`*` = all): whoever sees the check must speak for all of them
    jurisdiction    text[]      NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at     timestamptz,
    status          text        NOT NULL DEFAULT 'queued',
    -- purpose, layers, thresholds, where the shapes came from: as the API shows it
    request         jsonb       NOT NULL,
    -- the day that was asked about; NULL = as things stand
    on_day          date,
    -- the revision whose state was compared with: asked for, or seen
    revision        bigint,
    -- the check that this one repeats
    repeats         bigint,
    -- pairs that are compared, and how many there are; told by the job, for whoever looks on
    done            bigint      NOT NULL DEFAULT 0,
    total           bigint,
    -- a job tells that it lives; one that has not for a while was interrupted
    heartbeat_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    cancel_wanted   boolean     NOT NULL DEFAULT false,
    -- counts and areas by class and weight; what was not compared
    summary         jsonb,
    -- why it failed, for people
    trouble         text,
    CONSTRAINT overlap_check_pkey PRIMARY KEY (id),
    CONSTRAINT overlap_check_status_known CHECK (status IN ('queued', 'running', 'finished', 'failed', 'cancelled')),
    CONSTRAINT overlap_check_repeats_fkey FOREIGN KEY (repeats) REFERENCES overlap_check (id) ON DELETE SET NULL,
    CONSTRAINT overlap_check_finished_has_summary CHECK (status <> 'finished' OR (summary IS NOT NULL AND revision IS NOT NULL))
);
CREATE INDEX overlap_check_actor_idx ON overlap_check (actor, id);
COMMENT ON TABLE overlap_check IS 'one check of shapes against layers at a revision; not tracked';

-- The shapes of a check.
CREATE TABLE overlap_subject (
    check_id    bigint  NOT NULL,
    number      integer NOT NULL,
    label       text    NOT NULL,
    -- the layer and the id of a feature that is checked where it stands: it is not compared with itself
    layer       text,
    feature_id  text,
    area_m2     double precision NOT NULL,
    geom        geometry(MultiPolygon, 4490) NOT NULL,
    CONSTRAINT overlap_subject_pkey PRIMARY KEY (check_id, number),
    CONSTRAINT overlap_subject_check_fkey FOREIGN KEY (check_id) REFERENCES overlap_check (id) ON DELETE CASCADE
);

-- What was found, in the order of subject, layer, feature.
CREATE TABLE overlap_finding (
    check_id            bigint  NOT NULL,
    number              integer NOT NULL,
    subject             integer NOT NULL,
    layer               text    COLLATE "C" NOT NULL,
    feature_id          text    COLLATE "C" NOT NULL,
    feature_name        text,
    -- drawn (示意), not surveyed: no ground to decide by
    illustrative        boolean NOT NULL,
    class               text    NOT NULL,
    weight              text    NOT NULL,
    -- ellipsoidal, unrounded, as measured
    area_m2             double precision NOT NULL,
    share_of_subject    double precision NOT NULL,
    share_of_feature    double precision NOT NULL,
    width_m             double precision,
    shared_edge_m       double precision NOT NULL,
    gap_area_m2         double precision,
    gap_length_m        double precision,
    -- common land, or the strips of a gap
    geom                geometry(MultiPolygon, 4490),
    CONSTRAINT overlap_finding_pkey PRIMARY KEY (check_id, number),
    CONSTRAINT overlap_finding_pair_once UNIQUE (check_id, subject, layer, feature_id),
    CONSTRAINT overlap_finding_subject_fkey FOREIGN KEY (check_id, subject) REFERENCES overlap_subject (check_id, number) ON DELETE CASCADE
);

-- How many jobs wait or run, of one person and of all: the bound on all counts those too that the asker may not see.
CREATE FUNCTION waiting_overlap_checks(by_actor text, lost_after interval, OUT own bigint, OUT everybody bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT count(*) FILTER (WHERE actor = by_actor), count(*) FROM overlap_check
     WHERE status IN ('queued', 'running') AND heartbeat_at > clock_timestamp() - lost_after
$$;

-- What people said of findings; only added to, the last word counts.
CREATE TABLE overlap_mark (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    check_id    bigint      NOT NULL,
    finding     integer     NOT NULL,
    verdict     text        NOT NULL,
    note        text        NOT NULL DEFAULT '',
    actor       text        NOT NULL,
    marked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT overlap_mark_pkey PRIMARY KEY (id),
    CONSTRAINT overlap_mark_verdict_known CHECK (verdict IN ('open', 'accepted', 'to_fix', 'ignorable')),
    CONSTRAINT overlap_mark_finding_fkey FOREIGN KEY (check_id, finding) REFERENCES overlap_finding (check_id, number) ON DELETE CASCADE
);
CREATE INDEX overlap_mark_finding_idx ON overlap_mark (check_id, finding, id);

-- A check shows what its maker could see.
ALTER TABLE overlap_check ENABLE ROW LEVEL SECURITY;
CREATE POLICY overlap_check_jurisdiction ON overlap_check USING (
    (SELECT current_setting('sizhi.jurisdiction', true)) = '*'
    OR (jurisdiction <> ARRAY['*'] AND NOT EXISTS (SELECT FROM unnest(jurisdiction) AS code WHERE NOT in_jurisdiction(code))));
ALTER TABLE overlap_subject ENABLE ROW LEVEL SECURITY;
CREATE POLICY overlap_subject_of_check ON overlap_subject USING (EXISTS (SELECT FROM overlap_check c WHERE c.id = check_id));
ALTER TABLE overlap_finding ENABLE ROW LEVEL SECURITY;
CREATE POLICY overlap_finding_of_check ON overlap_finding USING (EXISTS (SELECT FROM overlap_check c WHERE c.id = check_id));
ALTER TABLE overlap_mark ENABLE ROW LEVEL SECURITY;
CREATE POLICY overlap_mark_of_check ON overlap_mark USING (EXISTS (SELECT FROM overlap_check c WHERE c.id = check_id));
