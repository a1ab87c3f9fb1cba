-- The outbox: one appended row per event, never updated. Written by Rust (extension/src/outbox.rs), which
-- relies on this column order, and picks the partition by the id's time.
CREATE TABLE webhook.events (
    id         text COLLATE "C" NOT NULL,
    type       text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    data       json NOT NULL,
    previous   json,
    key        text,
    account    text,
    source     text COLLATE "C",
    deliver_at timestamptz,
    target     text COLLATE "C",
    epoch      integer NOT NULL,
    xid        xid8 NOT NULL,
    seq        bigint NOT NULL
) PARTITION BY RANGE (id);
COMMENT ON TABLE webhook.events IS 'The outbox: every event, immutable, partitioned by day of its id.';
COMMENT ON COLUMN webhook.events.data IS 'The JSON text as emitted or captured; sent in canonical spelling.';
COMMENT ON COLUMN webhook.events.key IS 'Ordering key; for a watched table its primary key.';
COMMENT ON COLUMN webhook.events.target IS 'Set: for this webhook alone (webhook_test); nobody else is asked.';
COMMENT ON COLUMN webhook.events.xid IS 'Top-level transaction that emitted it; valid where epoch is this cluster''s.';
COMMENT ON COLUMN webhook.events.seq IS 'WAL position at emission, made unique within the session: the order in which events are read.';

-- An insert never fails for want of a partition; maintenance empties it into proper ones.
CREATE TABLE webhook.events_default PARTITION OF webhook.events DEFAULT;
-- Indexes are of the partitions alone, each new one has those of the default one: if the parent had them too, pg_dump's
-- script would make them twice, by ATTACH PARTITION to what CREATE EXTENSION made and by themselves, and fail.
ALTER TABLE webhook.events_default ADD PRIMARY KEY (id);
-- The reader's order. seq grows with the WAL (one number per event), so within one transaction it is the order of
-- emission, and across transactions an event emitted after another one's commit always has the larger seq.
CREATE INDEX ON webhook.events_default (seq, xid);

-- Repeated idempotency keys return the first event's id for 24 hours.
CREATE TABLE webhook.idempotency (
    account    text NOT NULL,
    key        text NOT NULL,
    event_id   text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE INDEX idempotency_age ON webhook.idempotency (created_at);
COMMENT ON TABLE webhook.idempotency IS 'Idempotency keys of the last 24 hours, per account (empty text: no account).';
