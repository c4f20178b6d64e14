-- Attachments (附件) of the ledgers' records: what a file is stands in the log, its bytes beside it. Why so: docs/decisions/0013-attachments.md.

-- One file of one record. A row is made and later ended, never altered otherwise; who and when is said by the revisions that it names.
CREATE TABLE attachment (
    -- turnover_parcel, low_efficiency_parcel or redevelopment_plan, and the record in it. (No foreign key: an id lives through several rows.)
    ledger            text COLLATE "C" NOT NULL,
    record_id         text COLLATE "C" NOT NULL,
    -- 1, 2, 3 … of the record; never given again
    ordinal           integer NOT NULL,
    -- of the record: decides who may see the row
    county_code       text COLLATE "C" NOT NULL,
    -- what it is for; codes of src/domain/attachment
    kind              text COLLATE "C" NOT NULL,
    -- as the client called it, in NFC; never a path
    file_name         text NOT NULL,
    note              text,
    -- by the bytes themselves
    media_type        text COLLATE "C" NOT NULL,
    size_bytes        bigint NOT NULL,
    -- SHA-256 in hex; text, because a row's image in the log must not depend on `bytea_output`
    sha256            text COLLATE "C" NOT NULL,
    added_revision    bigint NOT NULL,
    -- NULL while it stands
    removed_revision  bigint,
    removed_reason    text,
    revision          bigint NOT NULL,
    CONSTRAINT attachment_pkey PRIMARY KEY (ledger, record_id, ordinal),
    CONSTRAINT attachment_ledger_known CHECK (ledger IN ('turnover_parcel', 'low_efficiency_parcel', 'redevelopment_plan')),
    CONSTRAINT attachment_ordinal_positive CHECK (ordinal > 0),
    CONSTRAINT attachment_county_fkey FOREIGN KEY (county_code) REFERENCES division (code),
    CONSTRAINT attachment_kind_known CHECK (kind IN ('approval', 'contract', 'plan', 'photo', 'acceptance', 'other')),
    CONSTRAINT attachment_file_name_sound CHECK (file_name <> '' AND length(file_name) <= 200 AND file_name !~ '[[:cntrl:]/\\]'),
    CONSTRAINT attachment_media_type_known CHECK (media_type IN ('application/pdf', 'image/jpeg', 'image/png', 'image/webp', 'image/tiff')),
    CONSTRAINT attachment_size_positive CHECK (size_bytes > 0),
    CONSTRAINT attachment_sha256_format CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT attachment_reason_of_removal CHECK (removed_reason IS NULL OR removed_revision IS NOT NULL)
);
-- the same bytes stand once on a record
CREATE UNIQUE INDEX attachment_once ON attachment (ledger, record_id, sha256) WHERE removed_revision IS NULL;
CREATE INDEX attachment_content_idx ON attachment (county_code, sha256);

-- The bytes, by what they are: of each county its own, since who may see them goes by it. In parts, so that nobody ever holds a whole file in
-- memory. Not in the log, which holds their hash; only ever added, because a row of the log names them also after the attachment's end.
CREATE TABLE attachment_content (
    county_code  text COLLATE "C" NOT NULL,
    sha256       text COLLATE "C" NOT NULL,
    -- from 0; all but the last have 1 MB
    part         integer NOT NULL,
    bytes        bytea NOT NULL,
    CONSTRAINT attachment_content_pkey PRIMARY KEY (county_code, sha256, part),
    CONSTRAINT attachment_content_sha256_format CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT attachment_content_part_sound CHECK (part >= 0 AND octet_length(bytes) BETWEEN 1 AND 1048576)
);
-- What comes is packed already: trying to compress it costs more than writing it.
ALTER TABLE attachment_content ALTER bytes SET STORAGE EXTERNAL;
CREATE TRIGGER attachment_content_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON attachment_content
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change();

SELECT track_table('attachment', 'n.ledger || ''@'' || n.record_id || ''@'' || n.ordinal', 'ledger', 'record_id', 'ordinal');
SELECT protect_by_jurisdiction('attachment', 'county_code');
SELECT protect_by_jurisdiction('attachment_content', 'county_code');
SELECT as_of_table('attachment', 'record_id');
