-- What relays share: the cursor, heartbeats, the wake-up protocol and the identity of the cluster.

-- Append-only compare-and-set: whoever appends n+1 leads; a stale leader's append collides and is refused.
-- A row that were updated instead would grow a chain of dead versions under any long transaction.
CREATE TABLE webhook.cursors (
    n        bigint PRIMARY KEY,
    leader   text NOT NULL,
    "window" text NOT NULL,
    seq      bigint NOT NULL,
    xid      bigint NOT NULL,
    ahead    bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE webhook.cursors IS 'How far the outbox is read and recorded; the largest n counts, older rows are trimmed.';
COMMENT ON COLUMN webhook.cursors."window" IS 'Which snapshots are being read: see webhook._relay_read.';
COMMENT ON COLUMN webhook.cursors.ahead IS 'Largest seq of any delivery recorded ahead of the cursor; a new leader asks before it sends up to there.';

CREATE UNLOGGED TABLE webhook.relays (
    instance   text PRIMARY KEY,
    version    text NOT NULL,
    host       text NOT NULL,
    pid        integer NOT NULL,
    leader     boolean NOT NULL DEFAULT false,
    in_flight  integer NOT NULL DEFAULT 0,
    queued     integer NOT NULL DEFAULT 0,
    leads_until timestamptz,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    keys       text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE webhook.relays IS 'Heartbeats of running relays; one that was not seen for 20 seconds counts as gone.';
COMMENT ON COLUMN webhook.relays.keys IS 'Ids of the keys in its --secret-key-file, the current one first.';
COMMENT ON COLUMN webhook.relays.leads_until IS 'Set while it leads by a lease, which it does behind a connection pooler in transaction mode.';

-- The doorbell (extension/src/wakeup.rs has the protocol). Unlogged and non-transactional: reading it costs no snapshot, ringing no WAL.
CREATE UNLOGGED SEQUENCE webhook.bell MINVALUE 0 START 0 CACHE 1;
\i schema/bell_until.sql
CREATE TABLE webhook.committing ();
COMMENT ON SEQUENCE webhook.bell IS '1 while a relay sleeps and wants a NOTIFY; 0 while one is awake.';
COMMENT ON TABLE webhook.committing IS 'Empty. Emitters hold a ROW EXCLUSIVE lock on it from before they look at the bell until their commit is visible.';

-- In which cluster and database this outbox may send. Another one (a restored or cloned database) waits for webhook_adopt().
CREATE TABLE webhook.identity (
    one               boolean PRIMARY KEY DEFAULT true CHECK (one),
    system_identifier bigint NOT NULL,
    database          oid NOT NULL,
    adopted_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE webhook.identity IS 'The cluster and database whose relay may send; written when the first relay says hello and by webhook_adopt().';
