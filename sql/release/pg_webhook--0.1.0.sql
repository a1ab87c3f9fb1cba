-- pg_webhook: everything CREATE EXTENSION installs, in load order.
-- `make` replaces each \i line by the file's text; the result is pg_webhook--<version>.sql.
\echo Use "CREATE EXTENSION pg_webhook" to load this file. \quit

-- Nobody's operators and functions, whatever the schema of CREATE EXTENSION holds.
SET LOCAL search_path = pg_catalog, pg_temp;

-- The tables, in the order the data flows.
-- The schema, ids and the words of the wire that tables and functions need.
-- CREATE SCHEMA without IF NOT EXISTS: a schema that somebody made beforehand must not become ours.
CREATE SCHEMA webhook;
COMMENT ON SCHEMA webhook IS 'pg_webhook: webhooks, the event outbox, delivery log and what the relay calls';
REVOKE ALL ON SCHEMA webhook FROM PUBLIC;

CREATE FUNCTION webhook._new_id(prefix text) RETURNS text
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', '_new_id_wrapper';
COMMENT ON FUNCTION webhook._new_id(text) IS
    'A new id: prefix (wh, evt, src, sub, del), underscore, 26 base32 characters of a UUIDv7. Sorts by time.';

CREATE FUNCTION webhook._delivery_id(event_id text, webhook_id text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_delivery_id_wrapper';
COMMENT ON FUNCTION webhook._delivery_id(text, text) IS
    'The one delivery id of an event for a webhook: time of the event, the rest derived from both ids.';

CREATE FUNCTION webhook._id_time(id text) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_id_time_wrapper';
COMMENT ON FUNCTION webhook._id_time(text) IS 'The time in an id, to the millisecond.';

CREATE FUNCTION webhook._id_floor(prefix text, at timestamptz) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_id_floor_wrapper';
COMMENT ON FUNCTION webhook._id_floor(text, timestamptz) IS
    'The least id with this prefix and time: the bounds of partitions and of searches by time.';

CREATE FUNCTION webhook._check_id(prefix text, id text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_id_wrapper';
COMMENT ON FUNCTION webhook._check_id(text, text) IS 'The id itself; 22023 when it is not an id of that prefix.';

CREATE FUNCTION webhook._epoch() RETURNS integer
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_epoch_wrapper';
COMMENT ON FUNCTION webhook._epoch() IS
    'A number for this cluster and database (hash of system identifier and oid). Transaction ids and WAL positions of rows that carry another epoch belong to another cluster.';

CREATE FUNCTION webhook._library_version() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_library_version_wrapper';
COMMENT ON FUNCTION webhook._library_version() IS 'The version of the loaded library; differs from the extension''s until ALTER EXTENSION UPDATE.';

-- Calls into the library first: the webhook.* settings exist in a session once that is loaded.
CREATE FUNCTION webhook._retention() RETURNS interval
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE WHEN webhook._library_version() IS NOT NULL THEN current_setting('webhook.retention')::interval END
$$;

CREATE FUNCTION webhook._bytes(value json) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_bytes_wrapper';
COMMENT ON FUNCTION webhook._bytes(json) IS
    'The text as UTF-8 bytes, never an error: what cannot be converted stays as it is, for the relay to refuse alone.';

CREATE FUNCTION webhook._readable(bytes bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_readable_wrapper';
COMMENT ON FUNCTION webhook._readable(bytea) IS
    'Bytes from the network as text of this database; NUL and what the encoding cannot hold become ?.';

-- Checks of what users give: each returns its argument in normal form or raises 22023.
CREATE FUNCTION webhook._check_url(url text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_url_wrapper';
CREATE FUNCTION webhook._check_patterns(events text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_patterns_wrapper';
CREATE FUNCTION webhook._check_event_type(type text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_event_type_wrapper';
CREATE FUNCTION webhook._check_filter(filter_config jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_filter_wrapper';
CREATE FUNCTION webhook._check_options(options jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_options_wrapper';
CREATE FUNCTION webhook._check_secret(secret text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_secret_wrapper';
CREATE FUNCTION webhook._check_signing(options jsonb, secret text) RETURNS void
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_signing_wrapper';
CREATE FUNCTION webhook._check_schema(schema jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_schema_wrapper';
CREATE FUNCTION webhook._new_secret() RETURNS text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', '_new_secret_wrapper';
CREATE FUNCTION webhook._masked(secret text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_masked_wrapper';
CREATE FUNCTION webhook._masked_options(options jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_masked_options_wrapper';
CREATE FUNCTION webhook._pattern_matches(events text[], type text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_pattern_matches_wrapper';
CREATE FUNCTION webhook._nearest(word text, known text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_nearest_wrapper';
-- Registered endpoints and their secrets.
CREATE TABLE webhook.webhooks (
    id              text COLLATE "C" PRIMARY KEY,
    url             text NOT NULL,
    name            text,
    description     text,
    events          text[] NOT NULL,
    status          text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    disabled_reason text,
    filter_config   jsonb,
    account         text,
    options         jsonb NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    active_since    timestamptz NOT NULL,
    failing_since   timestamptz,
    host            text,
    CHECK (status = 'inactive' OR disabled_reason IS NULL)
);
CREATE INDEX webhooks_host ON webhook.webhooks (host) WHERE host IS NOT NULL;
COMMENT ON TABLE webhook.webhooks IS 'Registered endpoints. Change them with webhook_create, webhook_update and webhook_delete.';
COMMENT ON COLUMN webhook.webhooks.events IS 'Patterns: an exact type, user.* or *. Empty: only through subscriptions.';
COMMENT ON COLUMN webhook.webhooks.disabled_reason IS 'Why the relay made it inactive (410, five days of failures); NULL when a person did or it is active.';
COMMENT ON COLUMN webhook.webhooks.active_since IS 'Events created before this moment are not sent to it, except by replay.';
COMMENT ON COLUMN webhook.webhooks.host IS 'Set: not a registered endpoint but the queue of webhook_send to this scheme://host:port; the API does not show it.';
COMMENT ON COLUMN webhook.webhooks.failing_since IS 'Since when every attempt has failed; NULL while the last one succeeded.';

-- Apart from webhooks, so that no grant on that table can ever show a secret.
CREATE TABLE webhook.secrets (
    webhook_id text COLLATE "C" NOT NULL,
    secret     text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (webhook_id, created_at)
);
COMMENT ON TABLE webhook.secrets IS 'Signing secrets; the newest signs, older ones also until expires_at (rotation). Readable by the relay capability alone.';

-- A webhook takes its secrets and subscriptions along. Not by foreign keys: pg_restore --jobs loads an extension's tables in
-- any order.
CREATE FUNCTION webhook._webhook_gone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    DELETE FROM webhook.secrets s WHERE s.webhook_id = OLD.id;
    DELETE FROM webhook.subscriptions u WHERE u.listener_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER webhook_gone AFTER DELETE ON webhook.webhooks FOR EACH ROW EXECUTE FUNCTION webhook._webhook_gone();

-- One row as the API shows it.
CREATE TYPE webhook._webhook AS (
    id text, url text, name text, description text, events text[], status text, disabled_reason text,
    filter_config jsonb, account text, options jsonb, secret text, created_at timestamptz,
    updated_at timestamptz, last_triggered timestamptz
);

-- What changed and in which transaction, so that a relay knows at each read, in the same snapshot, what it has to reload.
CREATE TABLE webhook.changes (
    xid        xid8 NOT NULL,
    webhook_id text COLLATE "C" NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX changes_xid ON webhook.changes (xid);
COMMENT ON TABLE webhook.changes IS 'Which webhooks changed in which transaction, for the relay''s cache; trimmed by maintenance.';

CREATE FUNCTION webhook._webhook_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    row_ jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    INSERT INTO webhook.changes (xid, webhook_id)
    VALUES (pg_current_xact_id(), coalesce(row_->>'webhook_id', row_->>'listener_id', row_->>'id'));
    PERFORM webhook._forget_plans('webhook.webhooks'::regclass);
    PERFORM pg_notify('webhook', '');
    RETURN NULL;
END $$;

CREATE TRIGGER webhook_changed AFTER INSERT OR DELETE OR UPDATE OF
        url, events, status, filter_config, account, options, active_since ON webhook.webhooks
    FOR EACH ROW EXECUTE FUNCTION webhook._webhook_changed();
CREATE TRIGGER webhook_changed AFTER INSERT OR DELETE OR UPDATE ON webhook.secrets
    FOR EACH ROW EXECUTE FUNCTION webhook._webhook_changed();
-- What emits: watched tables and named emitters; and which webhooks listen to them.
CREATE TABLE webhook.sources (
    id             text COLLATE "C" PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('table', 'named')),
    name           text NOT NULL,
    relation       regclass,
    resource       text COLLATE "C",
    operations     text[],
    columns        text[],
    exclude        text[] NOT NULL DEFAULT '{}',
    update_of      text[],
    condition      text,
    names          jsonb NOT NULL DEFAULT '{}',
    key            text[],
    account_column name,
    previous       boolean NOT NULL DEFAULT false,
    on_error       text NOT NULL DEFAULT 'abort' CHECK (on_error IN ('abort', 'warn')),
    status         text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused')),
    numbers        jsonb NOT NULL DEFAULT '{}',
    numbers_of     text,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CHECK ((kind = 'table') = (relation IS NOT NULL)),
    CHECK ((kind = 'table') = (resource IS NOT NULL)),
    CHECK ((kind = 'table') = (operations IS NOT NULL))
);
CREATE UNIQUE INDEX sources_watched ON webhook.sources (relation, resource) WHERE kind = 'table';
CREATE UNIQUE INDEX sources_named ON webhook.sources (name) WHERE kind = 'named';
COMMENT ON TABLE webhook.sources IS 'What emits events: watched tables (webhook_watch) and named emitters (webhook_source_create).';
COMMENT ON COLUMN webhook.sources.numbers IS 'Of every column named here its number, which it keeps when it is renamed.';
COMMENT ON COLUMN webhook.sources.numbers_of IS 'The cluster, database and table that the numbers are of; a restored one has others, and there the names count.';

-- Rows whose event could not be made and whose source said on_error => 'warn'.
CREATE TABLE webhook.losses (
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    source_id text COLLATE "C",
    error     text NOT NULL
);
COMMENT ON TABLE webhook.losses IS 'Events lost because capture failed and the source asked to warn only; kept for webhook.retention.';

CREATE TABLE webhook.subscriptions (
    id          text COLLATE "C" PRIMARY KEY,
    emitter_id  text COLLATE "C" NOT NULL,
    listener_id text COLLATE "C" NOT NULL,
    event_name  text COLLATE "C" NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    UNIQUE (emitter_id, listener_id, event_name)
);
CREATE INDEX subscriptions_listener ON webhook.subscriptions (listener_id);
COMMENT ON TABLE webhook.subscriptions IS 'Source to webhook: the listener gets the emitter''s events, or only those named event_name.';

CREATE TRIGGER webhook_changed AFTER INSERT OR DELETE OR UPDATE ON webhook.subscriptions
    FOR EACH ROW EXECUTE FUNCTION webhook._webhook_changed();
-- The catalogue of event types. What a user says of a type that we brought stands in a row of its own, before ours: backups
-- hold users' rows alone, and a new extension has ours already, perhaps more of them.
CREATE TABLE webhook.event_types (
    type        text COLLATE "C" NOT NULL,
    description text,
    schema      jsonb,
    builtin     boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (type, builtin)
);
-- Sessions keep compiled schemas until one changes.
CREATE FUNCTION webhook._event_types_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM webhook._forget_plans('webhook.event_types'::regclass);
    RETURN NULL;
END $$;
COMMENT ON TABLE webhook.event_types IS 'Known event types: both tables of the seed documents, ours, and what webhook_event_type_create and webhook_watch add.';

INSERT INTO webhook.event_types (type, description, builtin) VALUES
    ('user.created', 'A new user was created', true),
    ('user.updated', 'A user was updated', true),
    ('user.deleted', 'A user was deleted', true),
    ('data.created', 'A new data resource was created', true),
    ('data.updated', 'A data resource was updated', true),
    ('data.deleted', 'A data resource was deleted', true),
    ('report.generated', 'A report was generated', true),
    ('system.alert', 'A system alert was triggered', true),
    ('project.created', 'A new project was created', true),
    ('project.updated', 'A project was updated', true),
    ('project.deleted', 'A project was deleted', true),
    ('team.member.added', 'A member was added to a team', true),
    ('team.member.removed', 'A member was removed from a team', true),
    ('team.member.role_changed', 'A member''s role was changed', true),
    ('webhook.test', 'A test sent by webhook_test', true),
    ('webhook.send', 'A one-off request made by webhook_send', true),
    ('webhook.failing', 'A webhook fails: its breaker opened', true),
    ('webhook.recovered', 'A failing webhook answers again', true),
    ('webhook.disabled', 'The relay made a webhook inactive', true),
    ('delivery.failed', 'A delivery failed for good', true);

CREATE TRIGGER event_types_changed AFTER INSERT OR UPDATE OR DELETE ON webhook.event_types
    FOR EACH STATEMENT EXECUTE FUNCTION webhook._event_types_changed();
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
-- The delivery log: one appended row per HTTP request, never updated.
-- Partitioned like the events: a delivery id carries its event's time.
CREATE TABLE webhook.attempts (
    delivery_id      text COLLATE "C" NOT NULL,
    number           integer NOT NULL CHECK (number >= 0),
    event_id         text COLLATE "C" NOT NULL,
    webhook_id       text COLLATE "C" NOT NULL,
    at               timestamptz NOT NULL,
    outcome          text NOT NULL CHECK (outcome IN ('delivered', 'failed', 'retry', 'canceled')),
    response_code    integer,
    response_time_ms integer,
    error            text,
    response_headers jsonb,
    response_body    bytea,
    CHECK ((number = 0) = (outcome = 'canceled'))
) PARTITION BY RANGE (delivery_id);
COMMENT ON TABLE webhook.attempts IS 'Every HTTP request of every delivery and its outcome, partitioned like the events.';
COMMENT ON COLUMN webhook.attempts.number IS 'From 1. Number 0 is no request: the delivery was canceled before its first attempt.';
COMMENT ON COLUMN webhook.attempts.outcome IS 'delivered; failed: for good; retry: another attempt was planned (if it is no longer pending, it was canceled).';
COMMENT ON COLUMN webhook.attempts.response_time_ms IS 'Milliseconds from the start of the request to the end of the exchange.';

CREATE TABLE webhook.attempts_default PARTITION OF webhook.attempts DEFAULT;
-- As with the events, indexes are of the partitions alone.
ALTER TABLE webhook.attempts_default ADD PRIMARY KEY (delivery_id, number);
CREATE INDEX ON webhook.attempts_default (webhook_id, delivery_id);
-- Deliveries that wait: the only mutable delivery state.
CREATE TABLE webhook.pending (
    delivery_id text COLLATE "C" PRIMARY KEY,
    event_id    text COLLATE "C" NOT NULL,
    webhook_id  text COLLATE "C" NOT NULL,
    key         text,
    reason      text NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    tries       integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL,
    ordered     boolean NOT NULL DEFAULT false,
    seq         bigint NOT NULL DEFAULT 0,
    lease       bigint NOT NULL DEFAULT 0,
    leased_by   text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((lease = 0) = (leased_by IS NULL)),
    CHECK (NOT ordered OR key IS NOT NULL)
);
-- While a delivery is leased its due_at is the lease's end, so an expired lease is simply due again.
CREATE INDEX pending_due ON webhook.pending (webhook_id, due_at);
CREATE INDEX pending_event ON webhook.pending (event_id);
CREATE INDEX pending_ordered ON webhook.pending (webhook_id, key, seq) WHERE ordered;
COMMENT ON TABLE webhook.pending IS 'Deliveries that wait for a retry, a due time, capacity or a resumed webhook.';
COMMENT ON COLUMN webhook.pending.reason IS 'retry, due, capacity, paused, ordered, blocked, replay, test or in_flight.';
COMMENT ON COLUMN webhook.pending.tries IS 'Attempts in the present schedule; a replay starts a new one.';
COMMENT ON COLUMN webhook.pending.lease IS 'Token of the relay that is sending it now; 0: nobody. Write-backs with another token change nothing.';
COMMENT ON COLUMN webhook.pending.ordered IS 'It must wait until every earlier one (by seq) of its webhook and key is gone from here; until then due_at is infinity.';

-- A row that is not the first of its key waits. The lock on its predecessor makes whoever deletes that one see it.
CREATE FUNCTION webhook._pending_queue() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM FROM webhook.pending p
    WHERE p.ordered AND p.webhook_id = NEW.webhook_id AND p.key = NEW.key AND p.seq < NEW.seq
    ORDER BY p.seq DESC LIMIT 1 FOR KEY SHARE;
    IF FOUND THEN NEW.due_at := 'infinity'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER pending_queue BEFORE INSERT ON webhook.pending
    FOR EACH ROW WHEN (NEW.ordered) EXECUTE FUNCTION webhook._pending_queue();

-- When the first of a key goes, the next one is due; behind a blocked one everything stays.
CREATE FUNCTION webhook._pending_advance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    UPDATE webhook.pending p SET due_at = clock_timestamp()
    WHERE p.due_at = 'infinity' AND p.lease = 0 AND p.reason <> 'blocked' AND p.delivery_id = (
        SELECT h.delivery_id FROM webhook.pending h
        WHERE h.ordered AND h.webhook_id = OLD.webhook_id AND h.key = OLD.key ORDER BY h.seq LIMIT 1);
    RETURN NULL;
END $$;
CREATE TRIGGER pending_advance AFTER DELETE ON webhook.pending
    FOR EACH ROW WHEN (OLD.ordered) EXECUTE FUNCTION webhook._pending_advance();
CREATE TRIGGER pending_left AFTER UPDATE OF ordered ON webhook.pending
    FOR EACH ROW WHEN (OLD.ordered AND NOT NEW.ordered) EXECUTE FUNCTION webhook._pending_advance();
-- Requests of webhook_send: where each goes and how. What they send is an event like any other, for the hidden webhook
-- of their host alone; that webhook is what queues them in order, apart from other hosts.
CREATE TABLE webhook.requests (
    delivery_id text COLLATE "C" PRIMARY KEY,
    url         text NOT NULL,
    options     jsonb NOT NULL
);
COMMENT ON TABLE webhook.requests IS 'URL and options of one-off requests (webhook_send); may hold secrets, so nobody is granted it. Kept for webhook.retention.';
-- One row per delivery with its present status, derived from the log and from what is pending.
-- As its reader, so that policies on the tables hold for it.
CREATE VIEW webhook.deliveries WITH (security_invoker = true) AS
SELECT a.delivery_id AS id, a.event_id, e.type AS event_type, a.webhook_id,
       CASE WHEN p.reason <> 'blocked' THEN 'pending'
            WHEN a.outcome = 'retry' THEN 'canceled'
            ELSE a.outcome END AS status,
       a.number AS attempts, a.response_code, a.response_time_ms, a.error,
       nullif(p.due_at, 'infinity') AS next_attempt_at, webhook._id_time(a.delivery_id) AS created_at, a.at AS updated_at
FROM webhook.attempts a
LEFT JOIN webhook.pending p ON p.delivery_id = a.delivery_id
LEFT JOIN webhook.events e ON e.id = a.event_id
WHERE NOT EXISTS (SELECT FROM webhook.attempts l
                  WHERE l.delivery_id = a.delivery_id AND l.number > a.number)
UNION ALL
SELECT p.delivery_id, p.event_id, e.type, p.webhook_id, 'pending', 0, NULL, NULL, NULL,
       nullif(p.due_at, 'infinity'), webhook._id_time(p.delivery_id), p.created_at
FROM webhook.pending p
LEFT JOIN webhook.events e ON e.id = p.event_id
WHERE NOT EXISTS (SELECT FROM webhook.attempts a WHERE a.delivery_id = p.delivery_id);
COMMENT ON VIEW webhook.deliveries IS 'One row per delivery: pending, delivered, failed or canceled, with its latest attempt.';
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
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE webhook.relays IS 'Heartbeats of running relays; one that was not seen for 20 seconds counts as gone.';
COMMENT ON COLUMN webhook.relays.leads_until IS 'Set while it leads by a lease, which it does behind a connection pooler in transaction mode.';

-- The doorbell (extension/src/wakeup.rs has the protocol). Unlogged and non-transactional: reading it costs no snapshot, ringing no WAL.
CREATE UNLOGGED SEQUENCE webhook.bell MINVALUE 0 START 0 CACHE 1;
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
-- A session that has set webhook.account reads and manages the webhooks, events and deliveries of that account alone:
-- the functions ask _account(), direct reads of the tables go through policies.

-- Whether the session's user is a superuser, whoever the present function runs as.
CREATE FUNCTION webhook._is_superuser() RETURNS boolean
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', '_is_superuser_wrapper';

-- The account of the session; empty: all of them. As with row security, superusers are not held to it.
CREATE FUNCTION webhook._account() RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE WHEN webhook._is_superuser() THEN '' ELSE coalesce(current_setting('webhook.account', true), '') END
$$;

CREATE FUNCTION webhook._check_account(account text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF webhook._account() <> '' AND webhook._account() IS DISTINCT FROM account THEN
        RAISE EXCEPTION USING ERRCODE = '42501',
            MESSAGE = format('account %s is not that of this session', coalesce(to_json(account)::text, 'NULL')),
            HINT = format('webhook.account is %s here; RESET webhook.account to manage other accounts.', to_json(webhook._account()));
    END IF;
END $$;

-- Whether the session may see a webhook.
CREATE FUNCTION webhook._is_mine(p_webhook_id text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT webhook._account() = ''
        OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = p_webhook_id AND w.account = webhook._account())
$$;

-- Raises 42704 for a delivery of another account, as if it did not exist.
CREATE FUNCTION webhook._check_delivery(p_id text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM webhook._check_id('del', p_id);
    IF webhook._account() <> '' AND NOT EXISTS (
        SELECT FROM webhook.deliveries d WHERE d.id = p_id AND webhook._is_mine(d.webhook_id)) THEN
        PERFORM webhook._no_delivery(p_id);
    END IF;
END $$;

-- Made when the first role gets `read`, and not at CREATE EXTENSION: many a pg_dump writes policies of an extension's tables
-- into the dump, where they would meet those that CREATE EXTENSION had just made. Newer ones leave them out, so
-- webhook_adopt makes them again. Tables are locked only when there is something to make.
CREATE FUNCTION webhook._enable_policies() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    mine constant text := 'coalesce(pg_catalog.current_setting(''webhook.account'', true), '''')';
    row_ record;
BEGIN
    FOR row_ IN
        SELECT p.name, p.own FROM (VALUES
            ('webhooks', '%s IN ('''', account)'),
            ('events', '%s IN ('''', account)'),
            ('attempts', '%s = '''' OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = webhook_id)'),
            ('pending', '%s = '''' OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = webhook_id)'),
            ('subscriptions', '%s = '''' OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = listener_id)')
        ) p(name, own)
        WHERE NOT EXISTS (SELECT FROM pg_policy o WHERE o.polrelid = ('webhook.' || p.name)::regclass AND o.polname = 'account')
    LOOP
        EXECUTE format('CREATE POLICY account ON webhook.%I FOR SELECT USING (' || format(row_.own, mine) || ')', row_.name);
        EXECUTE format('ALTER TABLE webhook.%I ENABLE ROW LEVEL SECURITY', row_.name);
    END LOOP;
END $$;

-- What users call, in the schema of their choice.
SET LOCAL search_path = @extschema@, pg_temp;
-- Webhooks: create, get, delete, rotate, test. (List and update have files of their own.)

CREATE FUNCTION webhook._no_webhook(id text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('webhook "%s" does not exist', id),
        HINT = 'webhook_list() shows the webhooks there are.';
END $$;

-- When it was last sent to: the time of its newest delivery's newest attempt.
CREATE FUNCTION webhook._last_triggered(id text) RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT a.at FROM webhook.attempts a WHERE a.webhook_id = id AND a.number > 0
    ORDER BY a.webhook_id DESC, a.delivery_id DESC, a.number DESC LIMIT 1
$$;

CREATE FUNCTION webhook._show(w webhook.webhooks, secret text DEFAULT NULL) RETURNS webhook._webhook
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT ROW(w.id, w.url, w.name, w.description, w.events, w.status, w.disabled_reason, w.filter_config, w.account,
               webhook._masked_options(w.options),
               coalesce(secret, (SELECT webhook._masked(s.secret) FROM webhook.secrets s
                                 WHERE s.webhook_id = w.id ORDER BY s.created_at DESC LIMIT 1)),
               w.created_at, w.updated_at, webhook._last_triggered(w.id))::webhook._webhook
$$;

-- A type that nobody ever registered or emitted is legal, and most often a typing error.
CREATE FUNCTION webhook._warn_unknown_types(events text[]) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    pattern text;
    near text[];
BEGIN
    FOREACH pattern IN ARRAY events LOOP
        CONTINUE WHEN EXISTS (SELECT FROM webhook.event_types t WHERE webhook._pattern_matches(ARRAY[pattern], t.type));
        near := webhook._nearest(pattern, (SELECT array_agg(DISTINCT t.type ORDER BY t.type) FROM webhook.event_types t));
        RAISE WARNING USING ERRCODE = '01000',
            MESSAGE = format('event type "%s" was never registered or emitted', pattern),
            HINT = CASE WHEN cardinality(near) > 0 THEN format('Did you mean %s?', array_to_string(near, ' or '))
                   ELSE 'webhook_event_types() shows the known types; webhook_event_type_create() adds one.' END;
    END LOOP;
END $$;

CREATE FUNCTION webhook_create(
    url text, events text[] DEFAULT '{*}', name text DEFAULT NULL, description text DEFAULT NULL,
    secret text DEFAULT NULL, filter_config jsonb DEFAULT NULL, account text DEFAULT NULL, options jsonb DEFAULT '{}')
    RETURNS webhook._webhook
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
    key text := webhook._check_secret(coalesce(webhook_create.secret, webhook._new_secret()));
    at timestamptz := clock_timestamp();
BEGIN
    w.id := webhook._new_id('wh');
    w.url := webhook._check_url(webhook_create.url);
    w.events := webhook._check_patterns(webhook_create.events);
    w.name := webhook_create.name;
    w.description := webhook_create.description;
    w.status := 'active';
    w.filter_config := webhook._check_filter(webhook_create.filter_config);
    w.account := coalesce(webhook_create.account, nullif(webhook._account(), ''));
    w.options := webhook._check_options(coalesce(webhook_create.options, '{}'));
    PERFORM webhook._check_signing(w.options, key), webhook._check_label('account', w.account),
        webhook._check_account(w.account);
    w.created_at := at;
    w.updated_at := at;
    w.active_since := at;
    PERFORM webhook._warn_unknown_types(w.events);
    INSERT INTO webhook.webhooks SELECT w.*;
    INSERT INTO webhook.secrets (webhook_id, secret, created_at) VALUES (w.id, key, at);
    RETURN webhook._show(w, key);
END $$;
COMMENT ON FUNCTION webhook_create(text, text[], text, text, text, jsonb, text, jsonb) IS
    'Registers an endpoint and returns its row with the secret in full, here only. secret: any text, whsec_<base64> (generated when missing) or whsk_<base64>, an Ed25519 private key, which signs v1a. Errors: 22023 for a bad URL, pattern, secret, filter or option.';

CREATE FUNCTION webhook_get(id text) RETURNS webhook._webhook
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
BEGIN
    SELECT * INTO w FROM webhook.webhooks h WHERE h.id = webhook_get.id AND h.host IS NULL AND webhook._account() IN ('', h.account);
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_get.id); END IF;
    RETURN webhook._show(w);
END $$;
COMMENT ON FUNCTION webhook_get(text) IS 'One webhook, secret masked; of a private key (whsk_) the public key, whpk_<base64>, is shown. Errors: 42704 when there is none.';

CREATE FUNCTION webhook_delete(id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    DELETE FROM webhook.webhooks w WHERE w.id = webhook_delete.id AND w.host IS NULL AND webhook._account() IN ('', w.account);
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_delete.id); END IF;
    PERFORM webhook._cancel(p.delivery_id) FROM webhook.pending p WHERE p.webhook_id = webhook_delete.id;
    RETURN true;
END $$;
COMMENT ON FUNCTION webhook_delete(text) IS
    'Deletes a webhook. Its pending deliveries are canceled, its history stays. Errors: 42704 when there is none.';

CREATE FUNCTION webhook_rotate_secret(id text, secret text DEFAULT NULL, grace interval DEFAULT '24 hours')
    RETURNS webhook._webhook
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
    key text := webhook._check_secret(coalesce(webhook_rotate_secret.secret, webhook._new_secret()));
    at timestamptz := clock_timestamp();
BEGIN
    IF grace IS NULL OR grace < '0' OR grace > '30 days' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('grace "%s" is not between 0 and 30 days', grace),
            HINT = 'During the grace both secrets are valid; 24 hours is the default.';
    END IF;
    UPDATE webhook.webhooks h SET updated_at = at
    WHERE h.id = webhook_rotate_secret.id AND h.host IS NULL AND webhook._account() IN ('', h.account) RETURNING * INTO w;
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_rotate_secret.id); END IF;
    PERFORM webhook._check_signing(w.options, key);
    DELETE FROM webhook.secrets s WHERE s.webhook_id = w.id AND s.expires_at <= at;
    UPDATE webhook.secrets s SET expires_at = least(s.expires_at, at + grace) WHERE s.webhook_id = w.id;
    INSERT INTO webhook.secrets (webhook_id, secret, created_at) VALUES (w.id, key, at);
    RETURN webhook._show(w, key);
END $$;
COMMENT ON FUNCTION webhook_rotate_secret(text, text, interval) IS
    'Gives a webhook a new secret, generated (whsec_) or of your own (also whsk_), shown here in full. Older ones stay valid for grace: webhook-signature then carries one signature per secret, newest first.';

CREATE FUNCTION webhook_test(id text, event text DEFAULT 'webhook.test') RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
BEGIN
    SELECT * INTO w FROM webhook.webhooks h WHERE h.id = webhook_test.id AND h.host IS NULL AND webhook._account() IN ('', h.account);
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_test.id); END IF;
    IF w.status <> 'active' THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('webhook "%s" is inactive', w.id),
            HINT = format('Make it active first: SELECT * FROM webhook_update(%L, ''{"status": "active"}'').', w.id);
    END IF;
    RETURN webhook._append(event, jsonb_build_object('webhook_id', w.id, 'test', true)::json, account => w.account,
                           target => w.id);
END $$;
COMMENT ON FUNCTION webhook_test(text, text) IS
    'Queues a signed test delivery of the given type to this webhook alone and returns the event id. Errors: 42704, 22023 for the type, 55000 when inactive.';
-- Webhooks, page by page.
CREATE TYPE webhook._webhook_of_list AS (
    id text, url text, name text, description text, events text[], status text, disabled_reason text,
    filter_config jsonb, account text, options jsonb, secret text, created_at timestamptz,
    updated_at timestamptz, last_triggered timestamptz, total bigint
);

CREATE FUNCTION webhook_list(
    page integer DEFAULT 1, "limit" integer DEFAULT 20, status text DEFAULT NULL, event text DEFAULT NULL,
    account text DEFAULT NULL)
    RETURNS SETOF webhook._webhook_of_list
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    mine text := webhook._account();
BEGIN
    IF page IS NULL OR page < 1 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('page %s is not a page number', coalesce(page::text, 'NULL')),
            HINT = 'Pages count from 1.';
    ELSIF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 100 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('limit %s is out of range', coalesce("limit"::text, 'NULL')),
            HINT = 'A page has 1 to 100 rows.';
    ELSIF status NOT IN ('active', 'inactive') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('status "%s" is unknown', status),
            HINT = 'A webhook is active or inactive.';
    END IF;
    IF event IS NOT NULL THEN PERFORM webhook._check_patterns(ARRAY[event]); END IF;
    RETURN QUERY
    WITH matching AS (
        SELECT w.id FROM webhook.webhooks w
        WHERE w.host IS NULL AND mine IN ('', w.account) AND (webhook_list.status IS NULL OR w.status = webhook_list.status)
          AND (webhook_list.account IS NULL OR w.account = webhook_list.account)
          AND (webhook_list.event IS NULL OR webhook_list.event = ANY (w.events)
               OR webhook._pattern_matches(w.events, webhook_list.event))
    )
    SELECT shown.*, (SELECT count(*) FROM matching)
    FROM (SELECT m.id FROM matching m ORDER BY m.id LIMIT "limit" OFFSET (page::bigint - 1) * "limit") AS chosen
    JOIN webhook.webhooks w ON w.id = chosen.id
    CROSS JOIN LATERAL webhook._show(w) AS shown
    ORDER BY w.id;
END $$;
COMMENT ON FUNCTION webhook_list(integer, integer, text, text, text) IS
    'Webhooks in the order of creation, page by page (limit 1..100), secrets masked; total counts all that match. event: those whose patterns match this type.';
-- Changing a webhook: any field or option, null resets.
CREATE FUNCTION webhook._updated(w webhook.webhooks, field text, value jsonb) RETURNS webhook.webhooks
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    word text := value #>> '{}';
BEGIN
    IF field IN ('url', 'name', 'description', 'status', 'account') AND jsonb_typeof(value) NOT IN ('string', 'null') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('%s %s is not a text', field, value),
            HINT = format('Give %s as a JSON string.', field);
    END IF;
    CASE field
        WHEN 'url' THEN w.url := webhook._check_url(word);
        WHEN 'name' THEN w.name := word;
        WHEN 'description' THEN w.description := word;
        WHEN 'account' THEN w.account := word;
        WHEN 'filter_config' THEN w.filter_config := webhook._check_filter(nullif(value, 'null'));
        WHEN 'events' THEN
            IF jsonb_typeof(value) NOT IN ('array', 'null') THEN
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('events %s is not an array', value),
                    HINT = 'Give events as a JSON array of patterns: ["user.*"].';
            END IF;
            w.events := CASE WHEN value = 'null' THEN '{*}' ELSE webhook._check_patterns(
                ARRAY(SELECT e #>> '{}' FROM jsonb_array_elements(value) e)) END;
            PERFORM webhook._warn_unknown_types(w.events);
        WHEN 'status' THEN
            IF coalesce(word, 'active') NOT IN ('active', 'inactive') THEN
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('status "%s" is unknown', word),
                    HINT = 'A webhook is active or inactive.';
            END IF;
            IF coalesce(word, 'active') = 'active' AND w.status = 'inactive' THEN
                w.failing_since := NULL;
                -- What happened in the meantime is not sent later, unless it was kept.
                IF NOT coalesce((w.options->>'keep_backlog')::boolean, false) THEN
                    w.active_since := clock_timestamp();
                END IF;
            END IF;
            w.status := coalesce(word, 'active');
            w.disabled_reason := NULL;
        WHEN 'options' THEN
            IF jsonb_typeof(value) NOT IN ('object', 'null') THEN
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('options %s is not an object', value),
                    HINT = 'Give options as a JSON object; null inside it resets one.';
            END IF;
            w.options := CASE WHEN value = 'null' THEN '{}'
                ELSE webhook._check_options((SELECT coalesce(jsonb_object_agg(o.key, o.value), '{}')
                    FROM jsonb_each(w.options || value) o WHERE o.value <> 'null')) END;
        ELSE
            -- Not a field: an option by its own name; an unknown one is refused with the names there are.
            IF value = 'null' THEN PERFORM webhook._check_options(jsonb_build_object(field, value)); END IF;
            w.options := webhook._check_options(CASE WHEN value = 'null' THEN w.options - field
                                                ELSE w.options || jsonb_build_object(field, value) END);
    END CASE;
    RETURN w;
END $$;

CREATE FUNCTION webhook_update(id text, changes jsonb) RETURNS webhook._webhook
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
    was_inactive boolean;
    change record;
BEGIN
    IF changes IS NULL OR jsonb_typeof(changes) <> 'object' THEN
        RAISE EXCEPTION USING ERRCODE = '22023',
            MESSAGE = format('changes %s is not an object', coalesce(changes::text, 'NULL')),
            HINT = 'Give the fields and options to change: {"events": ["user.*"], "timeout_ms": 5000}.';
    END IF;
    SELECT * INTO w FROM webhook.webhooks h WHERE h.id = webhook_update.id AND h.host IS NULL
        AND webhook._account() IN ('', h.account) FOR UPDATE;
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_update.id); END IF;
    was_inactive := w.status = 'inactive';
    FOR change IN SELECT key, value FROM jsonb_each(changes) LOOP
        w := webhook._updated(w, change.key, change.value);
    END LOOP;
    PERFORM webhook._check_account(w.account), webhook._check_label('account', w.account), webhook._check_signing(w.options, (
        SELECT s.secret FROM webhook.secrets s WHERE s.webhook_id = w.id ORDER BY s.created_at DESC LIMIT 1));
    w.updated_at := clock_timestamp();
    UPDATE webhook.webhooks h
    SET (url, name, description, events, status, disabled_reason, filter_config, account, options, updated_at,
         active_since, failing_since)
      = (w.url, w.name, w.description, w.events, w.status, w.disabled_reason, w.filter_config, w.account, w.options,
         w.updated_at, w.active_since, w.failing_since)
    WHERE h.id = w.id;
    -- Resumed with a backlog: what was kept is due now.
    IF was_inactive AND w.status = 'active' THEN
        UPDATE webhook.pending p SET due_at = w.updated_at, reason = 'retry'
        WHERE p.webhook_id = w.id AND p.reason = 'paused' AND p.lease = 0;
    END IF;
    RETURN webhook._show(w);
END $$;
COMMENT ON FUNCTION webhook_update(text, jsonb) IS
    'Changes any field (url, name, description, events, status, filter_config, account, options) or option; null resets it. Errors: 42704, 22023.';
-- Events: emit, and the catalogue of types.

CREATE FUNCTION webhook_emit(
    type text, data jsonb, key text DEFAULT NULL, idempotency_key text DEFAULT NULL, account text DEFAULT NULL,
    source text DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'webhook_emit_wrapper';
COMMENT ON FUNCTION webhook_emit(text, jsonb, text, text, text, text, timestamptz) IS
    'Appends an event to the outbox, in this transaction, and returns its id. A repeated idempotency key (24 hours, per account) returns the first id and emits nothing. Errors: 22023 type, key or data, 54000 payload over webhook.max_payload_bytes, 25006 read-only.';

-- The same row writer for our own functions; target: for that webhook alone.
CREATE FUNCTION webhook._append(
    type text, data json, key text DEFAULT NULL, account text DEFAULT NULL, source text DEFAULT NULL,
    target text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', '_append_wrapper';

-- Takes an idempotency key for an event id: the id itself, or that of the event that had the key first.
-- A concurrent transaction with the same key is waited for.
CREATE FUNCTION webhook._claim_idempotency(p_account text, p_key text, p_event_id text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    first text;
BEGIN
    INSERT INTO webhook.idempotency AS i (account, key, event_id, created_at)
    VALUES (coalesce(p_account, ''), p_key, p_event_id, clock_timestamp())
    ON CONFLICT (account, key) DO UPDATE
        SET event_id = excluded.event_id, created_at = excluded.created_at
        WHERE i.created_at < excluded.created_at - interval '24 hours'
    RETURNING event_id INTO first;
    IF NOT FOUND THEN
        SELECT i.event_id INTO STRICT first FROM webhook.idempotency i
        WHERE i.account = coalesce(p_account, '') AND i.key = p_key;
    END IF;
    RETURN first;
END $$;

-- A delivery of one event for one webhook, due now, whatever the webhook's patterns say.
CREATE FUNCTION webhook._queue(p_event_id text, p_webhook_id text, p_reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    delivery text := webhook._delivery_id(p_event_id, p_webhook_id);
BEGIN
    INSERT INTO webhook.pending AS p (delivery_id, event_id, webhook_id, key, reason, attempts, due_at)
    SELECT delivery, e.id, p_webhook_id, e.key, p_reason,
           coalesce((SELECT max(a.number) FROM webhook.attempts a WHERE a.delivery_id = delivery), 0), clock_timestamp()
    FROM webhook.events e WHERE e.id = p_event_id
    ON CONFLICT (delivery_id) DO UPDATE SET due_at = excluded.due_at, tries = 0, reason = excluded.reason
        WHERE p.lease = 0;
    PERFORM pg_notify('webhook', '');
    RETURN delivery;
END $$;

CREATE FUNCTION webhook_event_type_create(type text, description text DEFAULT NULL, schema jsonb DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    INSERT INTO webhook.event_types AS t (type, description, schema)
    VALUES (webhook._check_event_type(webhook_event_type_create.type),
            coalesce(webhook_event_type_create.description,
                     (SELECT t.description FROM webhook.event_types t WHERE t.type = webhook_event_type_create.type AND t.builtin)),
            webhook._check_schema(webhook_event_type_create.schema))
    ON CONFLICT ON CONSTRAINT event_types_pkey DO UPDATE
        SET description = coalesce(webhook_event_type_create.description, t.description), schema = excluded.schema;
    RETURN webhook_event_type_create.type;
END $$;
COMMENT ON FUNCTION webhook_event_type_create(text, text, jsonb) IS
    'Registers an event type, or changes its description and schema; returns the type. The setting webhook.validate (off, warn, error) says whether webhook_emit enforces schemas. Errors: 22023.';

CREATE FUNCTION webhook_event_types()
    RETURNS TABLE (type text, description text, schema jsonb, created_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT DISTINCT ON (t.type) t.type, t.description, t.schema, t.created_at FROM webhook.event_types t ORDER BY t.type, t.builtin
$$;
COMMENT ON FUNCTION webhook_event_types() IS 'The catalogue of event types.';
-- Sources name columns; the names follow renames, so that an excluded column stays excluded under another name. The name
-- of an excluded column that was dropped stays excluded too (its number is null): it may be made again.
-- Postgres keeps a column's number when it is renamed. In a restored database numbers and oids are others: there the
-- names count, and maintenance keeps those as they are today, so that dumps have them.

-- An excluded or tenant column that a restored table does not have: nobody knows what became of it.
CREATE FUNCTION webhook._lost_column(s webhook.sources) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT n FROM unnest(s.exclude || s.account_column::text) n
    WHERE n IS NOT NULL AND s.numbers->n IS DISTINCT FROM 'null' AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = s.relation AND a.attname = n
                                        AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1
$$;

-- Names under which columns were known, as they are called today; dropped ones are gone.
CREATE FUNCTION webhook._renamed(names text[], today jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN names IS NOT NULL THEN
        ARRAY(SELECT today->>n.name FROM unnest(names) WITH ORDINALITY n(name, place)
              WHERE today->>n.name IS NOT NULL ORDER BY n.place) END
$$;

-- A source with today's names and numbers. One whose table is gone, or that has lost a column, stays as it is.
CREATE FUNCTION webhook._source_now(s webhook.sources) RETURNS webhook.sources
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    here text := webhook._epoch() || '/' || s.relation::oid;
    today jsonb;
BEGIN
    IF s.kind <> 'table' OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relation) THEN
        RETURN s;
    ELSIF s.numbers_of IS DISTINCT FROM here THEN
        IF webhook._lost_column(s) IS NOT NULL THEN RETURN s; END IF;
    ELSE
        SELECT coalesce(jsonb_object_agg(n.key, a.attname), '{}') INTO today
        FROM jsonb_each_text(s.numbers) n
        LEFT JOIN pg_attribute a ON a.attrelid = s.relation AND a.attnum > 0 AND NOT a.attisdropped
             AND CASE WHEN n.value IS NULL THEN a.attname = n.key ELSE a.attnum = n.value::int2 END;
        IF NOT EXISTS (SELECT FROM jsonb_each_text(s.numbers) n
                       WHERE today->>n.key IS DISTINCT FROM CASE WHEN n.value IS NOT NULL THEN n.key END) THEN
            RETURN s;
        END IF;
        s.columns := webhook._renamed(s.columns, today);
        s.exclude := ARRAY(SELECT coalesce(today->>n, n) FROM unnest(s.exclude) n);
        s.update_of := webhook._renamed(s.update_of, today);
        s.key := webhook._renamed(s.key, today);
        s.account_column := today->>s.account_column::text;
        IF jsonb_typeof(s.names->'update') = 'object' THEN
            s.names := s.names || jsonb_build_object('update', (
                SELECT coalesce(jsonb_object_agg(today->>n.key, n.value), '{}') FROM jsonb_each(s.names->'update') n
                WHERE today->>n.key IS NOT NULL));
        END IF;
    END IF;
    SELECT coalesce(jsonb_object_agg(n.name, a.attnum), '{}') INTO s.numbers
    FROM (SELECT unnest(s.columns || s.exclude || s.update_of || s.key || s.account_column::text)
          UNION SELECT jsonb_object_keys(CASE jsonb_typeof(s.names->'update') WHEN 'object' THEN s.names->'update' ELSE '{}' END)) n(name)
    LEFT JOIN pg_attribute a ON a.attrelid = s.relation AND a.attname = n.name AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.name IS NOT NULL;
    s.numbers_of := here;
    RETURN s;
END $$;

-- The source of a trigger, or why nothing may be captured for it.
CREATE FUNCTION webhook._source_to_capture(p_id text) RETURNS webhook.sources
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    s webhook.sources;
BEGIN
    SELECT * INTO s FROM webhook.sources h WHERE h.id = p_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('source "%s" does not exist', p_id),
            HINT = 'Call webhook_watch for this table again, or drop the trigger.';
    END IF;
    s := webhook._source_now(s);
    IF s.numbers_of IS DISTINCT FROM webhook._epoch() || '/' || s.relation::oid THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('source "%s" excludes or sorts by column "%s", which the restored table %s does not have',
                             p_id, webhook._lost_column(s), s.relation),
            HINT = 'Call webhook_watch for this table again.';
    END IF;
    RETURN s;
END $$;

CREATE FUNCTION webhook._tidy_sources() RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, webhook, pg_temp AS $$
    DELETE FROM webhook.sources s
    WHERE s.kind = 'table' AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relation);
    UPDATE webhook.sources s
    SET (columns, exclude, update_of, names, key, account_column, numbers, numbers_of)
      = (SELECT n.columns, n.exclude, n.update_of, n.names, n.key, n.account_column, n.numbers, n.numbers_of
         FROM webhook._source_now(s) n)
    WHERE s IS DISTINCT FROM webhook._source_now(s);
$$;
COMMENT ON FUNCTION webhook._tidy_sources() IS
    'Forgets sources whose tables are gone; gives the others today''s names of their columns.';
-- The trigger function and what it asks once per session and table.
CREATE FUNCTION webhook_capture() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'webhook_capture';
COMMENT ON FUNCTION webhook_capture() IS
    'AFTER ROW trigger: appends an event per changed row. Arguments: the resource, and the source id when webhook_watch made it. By hand: CREATE TRIGGER ... AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION webhook_capture(''user'').';

-- Whether the text of such values, or of ones inside them, depends on search_path or lc_monetary.
CREATE FUNCTION webhook._is_sensitive(p_types oid[]) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    WITH RECURSIVE inside(type) AS (
        SELECT unnest(p_types)
        UNION
        SELECT x.type
        FROM inside i JOIN pg_type t ON t.oid = i.type
        CROSS JOIN LATERAL (
            VALUES (t.typbasetype), (t.typelem)
            UNION ALL
            SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
            UNION ALL
            SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        ) x(type)
        WHERE x.type <> 0
    )
    SELECT EXISTS (SELECT FROM inside WHERE type = ANY ('{money,regclass,regcollation,regconfig,regdictionary,regoper,
                                                          regoperator,regproc,regprocedure,regtype}'::regtype[]))
$$;

-- What capture must know of a table that a trigger fired for: columns by their numbers there (a partition may have
-- others than the table that is watched), the first `sent` of them sent; event types in full.
CREATE FUNCTION webhook._capture_plan(
    p_relation oid, p_resource text, p_source text,
    OUT columns int2[], OUT sent integer, OUT key int2[], OUT account_column int2, OUT inserted text, OUT updated text,
    OUT deleted text, OUT named_columns int2[], OUT named_types text[], OUT previous boolean, OUT warn boolean,
    OUT paused boolean, OUT sensitive boolean, OUT webhooks oid)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    s webhook.sources;
    ordered_by text[];
    compared int2[];
    types oid[];
BEGIN
    IF p_source IS NULL THEN
        -- A trigger made by hand.
        PERFORM webhook._check_event_type(p_resource || '.created');
        s.relation := p_relation;
        s.exclude := '{}';
        s.names := '{}';
    ELSE
        s := webhook._source_to_capture(p_source);
    END IF;
    IF s.key IS NULL THEN
        SELECT array_agg(a.attname::text ORDER BY k.place) INTO ordered_by
        FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place), pg_attribute a
        WHERE i.indrelid = p_relation AND i.indisprimary AND a.attrelid = p_relation AND a.attnum = k.attnum;
        -- Keys travel with some formats: an excluded column is in none.
        s.key := CASE WHEN ordered_by && s.exclude THEN '{}' ELSE ordered_by END;
    END IF;
    WITH present AS (
        SELECT w.attnum AS place, a.attname::text AS name, a.attnum, a.atttypid, s.names #>> ARRAY['update', a.attname::text] AS event,
               (s.columns IS NULL OR a.attname = ANY (s.columns)) AND a.attname <> ALL (s.exclude) AND a.attgenerated <> 'v' AS sends
        FROM pg_attribute w JOIN pg_attribute a ON a.attrelid = p_relation AND a.attname = w.attname
        WHERE w.attrelid = s.relation AND w.attnum > 0 AND NOT w.attisdropped
    )
    SELECT coalesce(array_agg(p.attnum ORDER BY p.place) FILTER (WHERE p.sends), '{}'),
           array_agg(p.attnum) FILTER (WHERE NOT p.sends AND (p.event IS NOT NULL OR p.name = ANY (s.update_of || s.account_column::text))),
           array_agg(p.attnum ORDER BY array_position(s.key, p.name)) FILTER (WHERE p.name = ANY (s.key)),
           max(p.attnum) FILTER (WHERE p.name = s.account_column),
           array_agg(p.attnum ORDER BY p.place) FILTER (WHERE p.event IS NOT NULL),
           array_agg(p_resource || '.' || p.event ORDER BY p.place) FILTER (WHERE p.event IS NOT NULL),
           array_agg(p.atttypid)
    INTO columns, compared, key, account_column, named_columns, named_types, types
    FROM present p;
    sent := cardinality(columns);
    columns := columns || compared;
    inserted := p_resource || '.' || coalesce(s.names->>'insert', 'created');
    updated := p_resource || '.' || CASE jsonb_typeof(s.names->'update') WHEN 'string' THEN s.names->>'update' ELSE 'updated' END;
    deleted := p_resource || '.' || coalesce(s.names->>'delete', 'deleted');
    previous := coalesce(s.previous, false);
    warn := s.on_error IS NOT DISTINCT FROM 'warn';
    paused := s.status IS NOT DISTINCT FROM 'paused';
    sensitive := NOT types <@ '{bool,int2,int4,int8,numeric,float4,float8,text,varchar,bpchar,name,uuid,json,jsonb,bytea,
                                date,time,timetz,timestamp,timestamptz,interval}'::regtype[]::oid[]
                 AND webhook._is_sensitive(types);
    webhooks := 'webhook.webhooks'::regclass;
END $$;

-- Could any webhook want events of these types from this source?
CREATE FUNCTION webhook._wanted(p_types text[], p_source text) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM webhook.webhooks w
        WHERE (w.status = 'active' OR coalesce((w.options->>'keep_backlog')::boolean, false))
          AND (EXISTS (SELECT FROM unnest(p_types) t WHERE webhook._pattern_matches(w.events, t))
               OR EXISTS (SELECT FROM webhook.subscriptions u
                          WHERE u.listener_id = w.id
                            AND webhook._emits(u.emitter_id, p_source))))
$$;

CREATE FUNCTION webhook._lost(p_source text, p_error text) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, webhook, pg_temp AS $$
    INSERT INTO webhook.losses (source_id, error) VALUES (p_source, p_error)
$$;

CREATE FUNCTION webhook._forget_plans(relation regclass) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', '_forget_plans_wrapper';
COMMENT ON FUNCTION webhook._forget_plans(regclass) IS
    'Makes every session rebuild its capture plan of this table once this transaction commits.';
-- What webhook_watch checks of its arguments, as the caller.

CREATE FUNCTION webhook._invalid(message text, hint text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = message, HINT = hint;
END $$;

-- Every name in wanted is a column of the table.
CREATE FUNCTION webhook._check_columns(relation regclass, wanted text[], what text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    missing text;
BEGIN
    SELECT w INTO missing FROM unnest(wanted) w
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = w
                      AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1;
    IF FOUND THEN
        PERFORM webhook._invalid(format('%s: table %s has no column "%s"', what, relation, missing),
            format('Its columns are: %s.', (SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a
                   WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped)));
    END IF;
END $$;

-- The arguments of webhook_watch as a source, every one checked.
CREATE FUNCTION webhook._checked_source(
    relation regclass, resource text, operations text[], columns text[], exclude text[], update_of text[],
    condition text, names jsonb, key text[], account_column name, previous boolean, on_error text) RETURNS webhook.sources
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    s webhook.sources;
    word text;
BEGIN
    IF relation IS NULL OR resource IS NULL THEN
        PERFORM webhook._invalid('table and resource must be given', 'webhook_watch(''users'', ''user'').');
    END IF;
    PERFORM webhook._check_watchable(relation);
    PERFORM webhook._check_event_type(resource || '.created');
    IF coalesce(cardinality(operations), 0) = 0 THEN
        PERFORM webhook._invalid('operations is empty', 'Give some of insert, update, delete.');
    END IF;
    FOREACH word IN ARRAY operations LOOP
        IF word IS NULL OR word NOT IN ('insert', 'update', 'delete') THEN
            PERFORM webhook._invalid(format('operation "%s" is unknown', word), 'Operations are insert, update and delete.');
        END IF;
    END LOOP;
    PERFORM webhook._check_columns(relation, columns, 'columns');
    PERFORM webhook._check_columns(relation, exclude, 'exclude');
    PERFORM webhook._check_columns(relation, update_of, 'update_of');
    PERFORM webhook._check_columns(relation, key, 'key');
    PERFORM webhook._check_columns(relation, array_remove(ARRAY[account_column::text], NULL), 'account_column');
    SELECT k INTO word FROM unnest(key) k WHERE k = ANY (exclude) LIMIT 1;
    IF FOUND THEN
        PERFORM webhook._invalid(format('key: column "%s" is excluded', word), 'A key travels with some formats; order by another column.');
    END IF;
    IF on_error IS NULL OR on_error NOT IN ('abort', 'warn') THEN
        PERFORM webhook._invalid(format('on_error "%s" is unknown', on_error), 'on_error is abort or warn.');
    END IF;
    PERFORM webhook._check_names(relation, resource, names);
    s.relation := relation;
    s.resource := resource;
    s.operations := ARRAY(SELECT o FROM unnest('{insert,update,delete}'::text[]) o WHERE o = ANY (operations));
    s.columns := columns;
    s.exclude := coalesce(exclude, '{}');
    s.update_of := nullif(update_of, '{}');
    s.condition := nullif(btrim(condition), '');
    s.names := names;
    s.key := nullif(key, '{}');
    s.account_column := account_column;
    s.previous := coalesce(previous, false);
    s.on_error := on_error;
    RETURN s;
END $$;

CREATE FUNCTION webhook._check_watchable(relation regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    class pg_class;
    children text;
BEGIN
    SELECT * INTO class FROM pg_class c WHERE c.oid = relation;
    IF class.relnamespace = 'webhook'::regnamespace THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = format('table %s belongs to pg_webhook', relation),
            HINT = 'Watch tables of your own.';
    ELSIF class.relkind NOT IN ('r', 'p') OR class.relpersistence = 't' OR class.relnamespace = 'pg_catalog'::regnamespace THEN
        RAISE EXCEPTION USING ERRCODE = '42809', MESSAGE = format('%s cannot be watched', relation),
            HINT = 'Ordinary and partitioned tables can; views, foreign tables, temporary and system tables cannot.';
    END IF;
    -- The rights that matter: Postgres itself checks the one to create triggers; the other is to read what will be sent.
    IF NOT has_table_privilege(relation, 'SELECT') THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = format('permission denied for table %s', relation),
            HINT = 'Who watches a table must be allowed to read it.';
    END IF;
    SELECT string_agg(i.inhrelid::regclass::text, ', ') INTO children FROM pg_inherits i
    WHERE i.inhparent = relation AND class.relkind = 'r';
    IF children IS NOT NULL THEN
        RAISE WARNING USING ERRCODE = '01000',
            MESSAGE = format('rows of the tables that inherit from %s are not watched: %s', relation, children),
            HINT = 'Triggers are not inherited; watch each of these tables too.';
    END IF;
END $$;

-- names: {"insert": "generated"} or {"update": {"<column>": "<name>"}}.
CREATE FUNCTION webhook._check_names(relation regclass, resource text, names jsonb) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    entry record;
    detail record;
BEGIN
    IF names IS NULL OR jsonb_typeof(names) <> 'object' THEN
        PERFORM webhook._invalid(format('names %s is not an object', coalesce(names::text, 'NULL')),
                                 'Give names as {"insert": "generated"}.');
    END IF;
    FOR entry IN SELECT n.key, n.value FROM jsonb_each(names) n LOOP
        IF entry.key NOT IN ('insert', 'update', 'delete') THEN
            PERFORM webhook._invalid(format('names has the unknown operation "%s"', entry.key),
                                     'Operations are insert, update and delete.');
        ELSIF jsonb_typeof(entry.value) = 'string' THEN
            PERFORM webhook._check_event_type(resource || '.' || (entry.value #>> '{}'));
        ELSIF jsonb_typeof(entry.value) = 'object' AND entry.key = 'update' THEN
            FOR detail IN SELECT d.key, d.value FROM jsonb_each(entry.value) d LOOP
                PERFORM webhook._check_columns(relation, ARRAY[detail.key], 'names');
                PERFORM webhook._check_event_type(resource || '.' || (detail.value #>> '{}'));
            END LOOP;
        ELSE
            PERFORM webhook._invalid(format('names: %s for "%s" is not a name', entry.value, entry.key),
                                     'A name is a text; for update also an object of column to name.');
        END IF;
    END LOOP;
END $$;
-- Watching tables. CREATE TRIGGER runs as the caller, so Postgres itself checks the right to do so.

-- Writes the source row.
CREATE FUNCTION webhook._source_write(p_relation oid, p_source jsonb) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    s webhook.sources := jsonb_populate_record(NULL::webhook.sources, p_source - 'relation');
    at timestamptz := clock_timestamp();
    result text;
BEGIN
    s.relation := p_relation;
    INSERT INTO webhook.sources AS old
    SELECT webhook._new_id('src'), 'table', s.relation::text, s.relation, s.resource, s.operations, s.columns, s.exclude,
           s.update_of, s.condition, s.names, s.key, s.account_column, s.previous, s.on_error, 'active', '{}', NULL, at, at
    ON CONFLICT (relation, resource) WHERE kind = 'table' DO UPDATE
    SET (name, operations, columns, exclude, update_of, condition, names, key, account_column, previous, on_error,
         numbers, numbers_of, updated_at)
      = (excluded.name, excluded.operations, excluded.columns, excluded.exclude, excluded.update_of, excluded.condition,
         excluded.names, excluded.key, excluded.account_column, excluded.previous, excluded.on_error, '{}', NULL, at)
    RETURNING old.id INTO result;
    UPDATE webhook.sources new SET (numbers, numbers_of) = (SELECT n.numbers, n.numbers_of FROM webhook._source_now(new) n)
    WHERE new.id = result;
    INSERT INTO webhook.event_types (type, description)
    SELECT t.type, format('Rows of %s', s.relation) FROM webhook._source_types(s) t(type)
    WHERE NOT EXISTS (SELECT FROM webhook.event_types k WHERE k.type = t.type)
    ON CONFLICT DO NOTHING;
    RETURN result;
END $$;

-- The same for webhook_watch, which runs as the user, who might as well call this: only for a table that the user may
-- read and create triggers on (42501), as a source says which columns leave the database.
CREATE FUNCTION webhook._source_put(relation oid, source jsonb) RETURNS text
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', '_source_put_wrapper';

-- The event types that a source can emit.
CREATE FUNCTION webhook._source_types(s webhook.sources) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT s.resource || '.' || n.name
    FROM unnest(s.operations) op
    CROSS JOIN LATERAL (
        SELECT s.names->>op WHERE jsonb_typeof(s.names->op) = 'string'
        UNION
        SELECT CASE op WHEN 'insert' THEN 'created' WHEN 'update' THEN 'updated' ELSE 'deleted' END
        WHERE jsonb_typeof(s.names->op) IS DISTINCT FROM 'string'
        UNION
        SELECT d.value FROM jsonb_each_text(CASE WHEN jsonb_typeof(s.names->op) = 'object' THEN s.names->op ELSE '{}' END) d
    ) n(name)
$$;

-- One trigger per operation, so that a condition may speak of OLD and NEW as each of them allows.
-- A long resource is cut, and told from others by its digest.
CREATE FUNCTION webhook._trigger_name(resource text, operation text) RETURNS name
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT ('webhook_' || operation || '_' || CASE WHEN length(resource) <= 48 THEN resource
                                                   ELSE left(resource, 15) || '_' || md5(resource) END)::name
$$;

CREATE FUNCTION webhook._drop_triggers(relation regclass, resource text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    operation text;
BEGIN
    FOREACH operation IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
        IF EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = relation AND t.tgname = webhook._trigger_name(resource, operation)) THEN
            EXECUTE format('DROP TRIGGER %I ON %s', webhook._trigger_name(resource, operation), relation);
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION webhook._condition_for(operation text, condition text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', '_condition_for_wrapper';
COMMENT ON FUNCTION webhook._condition_for(text, text) IS
    'A condition on the row for the trigger of an operation: of INSERT it is NEW, of DELETE OLD. NULL when it compares both and the operation has only one.';

-- Not UPDATE OF, which looks at what the statement sets and not at what changes. Compared byte for byte, as any type can be;
-- by a function, as pg_dump forgets the casts that an operator on rows needs.
CREATE FUNCTION webhook._any_changes(columns text[]) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('pg_catalog.record_image_ne(ROW(%s), ROW(%s))',
                  string_agg(format('OLD.%I', c), ', '), string_agg(format('NEW.%I', c), ', '))
    FROM unnest(columns) c HAVING count(*) > 0
$$;

-- A condition may end in a comment, so each has lines of its own.
CREATE FUNCTION webhook._trigger_when(conditions text[]) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT E'WHEN (\n' || string_agg(format(E'(%s\n)', c), ' AND ') || ')' FROM unnest(conditions) c WHERE c IS NOT NULL
$$;

-- The CREATE TRIGGER statements of a source, made before the caller's search path comes back.
CREATE FUNCTION webhook._trigger_statements(s webhook.sources) RETURNS text[]
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    operation text;
    condition text;
    statements text[] := '{}';
BEGIN
    FOREACH operation IN ARRAY s.operations LOOP
        condition := webhook._condition_for(operation, s.condition);
        IF s.condition IS NOT NULL AND condition IS NULL THEN
            PERFORM webhook._invalid(
                format('when "%s" compares OLD and NEW, which %s does not have', s.condition, upper(operation)),
                'Watch updates alone with it: operations => ''{update}''. Another watch, under another resource, can have the rest.');
        END IF;
        statements := statements || format(
            'CREATE TRIGGER %I AFTER %s ON %s FOR EACH ROW %s EXECUTE FUNCTION @extschema@.webhook_capture(%L, %L)',
            webhook._trigger_name(s.resource, operation), operation, s.relation,
            webhook._trigger_when(ARRAY[CASE WHEN operation = 'update' THEN webhook._any_changes(s.update_of) END, condition]),
            s.resource, s.id);
    END LOOP;
    RETURN statements;
END $$;

-- p_path: the caller's search path, in which the condition's names are looked up.
CREATE FUNCTION webhook._watch(s webhook.sources, p_path text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    statements text[];
    statement text;
BEGIN
    s.id := webhook._source_put(s.relation, to_jsonb(s));
    PERFORM webhook._drop_triggers(s.relation, s.resource);
    statements := webhook._trigger_statements(s);
    PERFORM set_config('search_path', p_path, true);
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
    RETURN s.id;
EXCEPTION WHEN syntax_error OR undefined_column OR undefined_function OR undefined_table OR undefined_object
            OR ambiguous_column OR ambiguous_function OR datatype_mismatch OR cannot_coerce OR indeterminate_datatype
            OR invalid_text_representation OR invalid_object_definition OR feature_not_supported OR grouping_error
            OR windowing_error OR invalid_column_reference OR invalid_schema_name THEN
    IF s.condition IS NULL THEN RAISE; END IF;
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = pg_catalog.format('when "%s": %s', s.condition, SQLERRM),
        HINT = 'Give a condition on the row, as in CREATE TRIGGER ... WHEN: NEW.total > 100.';
END $$;

CREATE FUNCTION webhook_watch(
    "table" regclass, resource text, operations text[] DEFAULT '{insert,update,delete}', columns text[] DEFAULT NULL,
    exclude text[] DEFAULT '{}', update_of text[] DEFAULT NULL, "when" text DEFAULT NULL, names jsonb DEFAULT '{}',
    key text[] DEFAULT NULL, account_column name DEFAULT NULL, previous boolean DEFAULT false,
    on_error text DEFAULT 'abort') RETURNS text
    LANGUAGE sql AS $$
    SELECT webhook._watch(
        webhook._checked_source("table", resource, operations, columns, exclude, update_of, "when", names, key,
                                account_column, previous, on_error),
        pg_catalog.current_setting('search_path'))
$$;
COMMENT ON FUNCTION webhook_watch(regclass, text, text[], text[], text[], text[], text, jsonb, text[], name, boolean, text) IS
    'From now on every changed row of the table is an event <resource>.created, .updated or .deleted. Called again for the same table and resource it replaces the options. Returns the source id. Errors: 22023, 42501, 42809.';

CREATE FUNCTION webhook._source_erase(p_relation oid, p_resource text) RETURNS text[]
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    WITH gone AS (
        DELETE FROM webhook.sources s WHERE s.relation = p_relation AND (p_resource IS NULL OR s.resource = p_resource)
        RETURNING s.resource
    )
    SELECT coalesce(array_agg(g.resource), '{}') FROM gone g
$$;

-- The same for webhook_unwatch; only for a table that the user may create triggers on (42501), or that is gone.
CREATE FUNCTION webhook._source_remove(relation oid, resource text) RETURNS text[]
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', '_source_remove_wrapper';

CREATE FUNCTION webhook_unwatch("table" regclass, resource text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    gone text[] := webhook._source_remove("table", webhook_unwatch.resource);
BEGIN
    PERFORM webhook._drop_triggers("table", g) FROM unnest(gone) g;
    IF coalesce(cardinality(gone), 0) = 0 THEN
        RAISE EXCEPTION USING ERRCODE = '42704',
            MESSAGE = format('table %s is not watched%s', "table", ' as "' || webhook_unwatch.resource || '"'),
            HINT = 'webhook_sources() shows what is.';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION webhook_unwatch(regclass, text) IS
    'Stops watching a table (for one resource, or for all). Errors: 42704 when it is not watched.';

-- Sources: pause, resume, and what there is.

CREATE FUNCTION webhook._source_status(p_id text, p_status text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    s webhook.sources;
BEGIN
    UPDATE webhook.sources h SET status = p_status, updated_at = clock_timestamp() WHERE h.id = p_id RETURNING * INTO s;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('source "%s" does not exist', p_id),
            HINT = 'webhook_sources() shows the sources there are.';
    ELSIF s.kind = 'named' THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('source "%s" is a named emitter', p_id),
            HINT = 'Watched tables can be paused; of a named emitter stop calling webhook_emit, or remove its subscriptions.';
    END IF;
    PERFORM webhook._forget_plans(c.oid)
    FROM pg_class c
    WHERE c.oid = s.relation OR c.oid IN (SELECT t.relid FROM pg_partition_tree(s.relation) t);
END $$;

CREATE FUNCTION webhook_pause(source_id text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT webhook._source_status(source_id, 'paused')
$$;
COMMENT ON FUNCTION webhook_pause(text) IS 'A source emits nothing until webhook_resume; takes no lock on the table. Errors: 42704, 55000 for a named emitter.';

CREATE FUNCTION webhook_resume(source_id text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT webhook._source_status(source_id, 'active')
$$;
COMMENT ON FUNCTION webhook_resume(text) IS 'A paused source emits again. Errors: 42704.';

-- What a source does, in words.
CREATE FUNCTION webhook._source_words(s webhook.sources) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE
        WHEN s.kind = 'named' THEN format('Named emitter: webhook_emit(..., source => %L).', s.id)
        WHEN NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relation) THEN format('Table %s was dropped.', s.name)
        ELSE
        format('Every %s of %s emits %s', array_to_string(s.operations, ', '), s.relation,
               (SELECT string_agg(t, ', ' ORDER BY t) FROM webhook._source_types(s) t))
        || coalesce(', updates only of ' || array_to_string(nullif(s.update_of, '{}'), ', '), '')
        || coalesce(', when ' || s.condition, '')
        || coalesce('; sends the columns ' || array_to_string(s.columns, ', '), '; sends all columns')
        || coalesce(' without ' || array_to_string(nullif(s.exclude, '{}'), ', '), '')
        || CASE WHEN s.previous THEN ', and of updates the previous values' ELSE '' END
        || coalesce('; ordered by ' || array_to_string(s.key, ', '), '; ordered by primary key')
        || coalesce('; account from ' || s.account_column, '')
        || CASE s.on_error WHEN 'warn' THEN '; an event that cannot be made is lost with a warning' ELSE '' END || '.'
        || CASE s.status WHEN 'paused' THEN ' Paused.' ELSE '' END
    END
$$;

CREATE FUNCTION webhook_sources()
    RETURNS TABLE (id text, kind text, name text, resource text, operations text[], columns text[], exclude text[],
                   status text, event_types text[], description text, created_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT s.id, s.kind, coalesce((SELECT c.oid::regclass::text FROM pg_class c WHERE c.oid = s.relation), s.name),
           s.resource, s.operations, s.columns, s.exclude, s.status,
           ARRAY(SELECT t FROM webhook._source_types(s) t ORDER BY t), webhook._source_words(s), s.created_at
    FROM webhook.sources h CROSS JOIN LATERAL webhook._source_now(h) s ORDER BY s.id
$$;
COMMENT ON FUNCTION webhook_sources() IS 'What emits events: watched tables and named emitters, and what each does in words.';
-- Named emitters, and subscriptions: which webhooks listen to which source.

-- A label that users choose: 1 to 1024 bytes without control characters.
CREATE FUNCTION webhook._check_label(argument text, label text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF label = '' OR octet_length(label) > 1024 OR label ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('%s %s is not valid', argument, to_json(left(label, 64))),
            HINT = 'Give 1 to 1024 bytes without control characters.';
    END IF;
    RETURN label;
END $$;

CREATE FUNCTION webhook_source_create(name text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();
    result text;
BEGIN
    IF webhook_source_create.name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'name must not be null', HINT = 'Give name a value.';
    END IF;
    INSERT INTO webhook.sources (id, kind, name, created_at, updated_at)
    VALUES (webhook._new_id('src'), 'named', webhook._check_label('name', webhook_source_create.name), at, at)
    ON CONFLICT (name) WHERE kind = 'named' DO UPDATE SET name = excluded.name
    RETURNING id INTO result;
    RETURN result;
END $$;
COMMENT ON FUNCTION webhook_source_create(text) IS
    'A named emitter, for webhook_emit(..., source => id). Returns its id; the same name gives the same id. Errors: 22023.';

-- Does an emitter (* stands for any run of characters, ? for one) mean this source?
CREATE FUNCTION webhook._emits(emitter text, source text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT source LIKE translate(replace(replace(emitter, '\', '\\'), '_', '\_'), '*?', '%_')
$$;

CREATE FUNCTION webhook._check_emitter(id text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF id ~ '[*?]' THEN
        IF id !~ '^(src_|[*?])[a-z0-9*?]*$' OR length(id) > 64 THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('emitter_id %s is not a pattern of source ids', to_json(left(id, 64))),
                HINT = 'A source id, or one with * in it: src_* is every source.';
        END IF;
    ELSE
        PERFORM webhook._check_id('src', id);
        IF NOT EXISTS (SELECT FROM webhook.sources s WHERE s.id = _check_emitter.id) THEN
            RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('source "%s" does not exist', id),
                HINT = 'webhook_sources() shows the sources there are; src_* means all of them.';
        END IF;
    END IF;
    RETURN id;
END $$;

CREATE FUNCTION webhook_subscribe(emitter_id text, listener_id text, event_name text DEFAULT '') RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    event text := coalesce(event_name, '');
    result text;
BEGIN
    PERFORM webhook._check_emitter(webhook_subscribe.emitter_id);
    PERFORM webhook._check_id('wh', webhook_subscribe.listener_id);
    PERFORM FROM webhook.webhooks w WHERE w.id = webhook_subscribe.listener_id AND w.host IS NULL
        AND webhook._account() IN ('', w.account) FOR KEY SHARE;
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_subscribe.listener_id); END IF;
    IF event <> '' THEN PERFORM webhook._check_event_type(event); END IF;
    INSERT INTO webhook.subscriptions (id, emitter_id, listener_id, event_name, created_at)
    VALUES (webhook._new_id('sub'), webhook_subscribe.emitter_id, webhook_subscribe.listener_id, event, clock_timestamp())
    ON CONFLICT ON CONSTRAINT subscriptions_emitter_id_listener_id_event_name_key DO NOTHING
    RETURNING id INTO result;
    IF NOT FOUND THEN
        SELECT u.id INTO STRICT result FROM webhook.subscriptions u
        WHERE u.emitter_id = webhook_subscribe.emitter_id AND u.listener_id = webhook_subscribe.listener_id
          AND u.event_name = event;
    END IF;
    RETURN result;
END $$;
COMMENT ON FUNCTION webhook_subscribe(text, text, text) IS
    'The webhook listener_id gets the events of the source emitter_id (a glob such as src_* means several), or only those of the type event_name, besides what its own patterns say. Returns the subscription''s id, the same for the same arguments. Errors: 42704, 22023.';

CREATE FUNCTION webhook_unsubscribe(emitter_id text, listener_id text, event_name text DEFAULT '') RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    DELETE FROM webhook.subscriptions u
    WHERE u.emitter_id = webhook_unsubscribe.emitter_id AND u.listener_id = webhook_unsubscribe.listener_id
      AND u.event_name = coalesce(webhook_unsubscribe.event_name, '')
      AND webhook._is_mine(u.listener_id);
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION webhook_unsubscribe(text, text, text) IS
    'Ends the subscription that was made with these arguments; false when there is none.';

CREATE FUNCTION webhook_subscriptions(listener_id text DEFAULT NULL)
    RETURNS TABLE (id text, emitter_id text, listener_id text, event_name text, created_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT u.id, u.emitter_id, u.listener_id, u.event_name, u.created_at FROM webhook.subscriptions u
    WHERE ($1 IS NULL OR u.listener_id = $1)
      AND webhook._is_mine(u.listener_id)
    ORDER BY u.id
$$;
COMMENT ON FUNCTION webhook_subscriptions(text) IS 'Which webhooks listen to which sources; of one webhook or of all.';
-- Whom an event is for, by the rules of the relay (relay/src/matching.rs), and how far the relay has read.

CREATE FUNCTION webhook._filter_miss(filter_config text, data json) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_filter_miss_wrapper';
COMMENT ON FUNCTION webhook._filter_miss(text, json) IS
    'NULL: an event with this data passes the filter (as does any without a filter). Else the clause that fails.';

-- Why an event is not for a webhook; NULL: it is.
CREATE FUNCTION webhook._mismatch(w webhook.webhooks, e webhook.events) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE
        WHEN e.target IS NOT NULL OR w.host IS NOT NULL THEN
            CASE WHEN e.target IS DISTINCT FROM w.id THEN 'not_subscribed' END
        WHEN w.account IS DISTINCT FROM e.account AND w.account IS DISTINCT FROM '*' THEN 'other_account'
        WHEN NOT webhook._pattern_matches(w.events, e.type) AND NOT EXISTS (
                 SELECT FROM webhook.subscriptions u
                 WHERE u.listener_id = w.id AND webhook._emits(u.emitter_id, e.source) AND u.event_name IN ('', e.type))
            THEN 'not_subscribed'
        WHEN webhook._filter_miss(w.filter_config::text, e.data) IS NOT NULL THEN 'filtered_out'
    END
$$;

-- Has no relay read and recorded this event yet? c: the newest cursor.
CREATE FUNCTION webhook._is_unread(c webhook.cursors, epoch integer, xid xid8, seq bigint) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT epoch = webhook._epoch()
       AND NOT pg_visible_in_snapshot(xid, coalesce((c."window"::jsonb->>'low')::pg_snapshot, '3:3:'))
       AND (c."window"::jsonb->>'high' IS NULL
            OR NOT pg_visible_in_snapshot(xid, (c."window"::jsonb->>'high')::pg_snapshot)
            OR (seq, xid) > (c.seq, c.xid::text::xid8))
$$;

CREATE FUNCTION webhook._cursor() RETURNS webhook.cursors
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT c FROM webhook.cursors c ORDER BY c.n DESC LIMIT 1
$$;
-- Deliveries: the log, replay and cancel.

CREATE FUNCTION webhook._no_delivery(id text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('delivery "%s" does not exist', id),
        HINT = 'webhook_deliveries() shows deliveries; those past webhook.retention are gone.';
END $$;

CREATE FUNCTION webhook_deliveries(
    webhook_id text DEFAULT NULL, status text DEFAULT NULL, event_id text DEFAULT NULL, "limit" integer DEFAULT 50,
    before text DEFAULT NULL)
    RETURNS SETOF webhook.deliveries
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    mine text := webhook._account();
BEGIN
    IF "limit" IS NULL OR "limit" NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('limit %s is out of range', coalesce("limit"::text, 'NULL')),
            HINT = 'Between 1 and 1000 rows; page with before => the last id.';
    ELSIF status NOT IN ('pending', 'delivered', 'failed', 'canceled') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('status "%s" is unknown', status),
            HINT = 'A delivery is pending, delivered, failed or canceled.';
    ELSIF before IS NOT NULL THEN
        PERFORM webhook._check_id('del', before);
    END IF;
    IF event_id IS NOT NULL THEN
        PERFORM webhook._check_id('evt', event_id);
        -- A delivery's id has its event's millisecond, so the primary key finds an event's deliveries.
        RETURN QUERY
        SELECT d.* FROM webhook.deliveries d
        WHERE d.id >= webhook._id_floor('del', webhook._id_time(webhook_deliveries.event_id))
          AND d.id < webhook._id_floor('del', webhook._id_time(webhook_deliveries.event_id) + interval '1 millisecond')
          AND d.event_id = webhook_deliveries.event_id
          AND (webhook_deliveries.webhook_id IS NULL OR d.webhook_id = webhook_deliveries.webhook_id)
          AND (webhook_deliveries.status IS NULL OR d.status = webhook_deliveries.status)
          AND (before IS NULL OR d.id < before)
          AND (mine = '' OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = d.webhook_id AND w.account = mine))
        ORDER BY d.id DESC LIMIT "limit";
    ELSIF webhook_id IS NOT NULL THEN
        RETURN QUERY
        SELECT d.* FROM webhook.deliveries d
        WHERE d.webhook_id = webhook_deliveries.webhook_id
          AND (webhook_deliveries.status IS NULL OR d.status = webhook_deliveries.status)
          AND (before IS NULL OR d.id < before)
          AND (mine = '' OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = d.webhook_id AND w.account = mine))
        ORDER BY d.id DESC LIMIT "limit";
    ELSE
        RETURN QUERY
        SELECT d.* FROM webhook.deliveries d
        WHERE (webhook_deliveries.status IS NULL OR d.status = webhook_deliveries.status)
          AND (before IS NULL OR d.id < before)
          AND (mine = '' OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = d.webhook_id AND w.account = mine))
        ORDER BY d.id DESC LIMIT "limit";
    END IF;
END $$;
COMMENT ON FUNCTION webhook_deliveries(text, text, text, integer, text) IS
    'Deliveries, newest first, at most limit (1..1000); page with before => the last id. A delivery appears once the relay has recorded it. Errors: 22023.';

CREATE FUNCTION webhook_attempts(delivery_id text)
    RETURNS TABLE (number integer, at timestamptz, request_headers jsonb, response_code integer, response_headers jsonb,
                   response_body text, response_time_ms integer, error text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM webhook._check_delivery(webhook_attempts.delivery_id);
    RETURN QUERY
    SELECT a.number, a.at,
           CASE WHEN e.id IS NOT NULL AND p.url IS NOT NULL THEN
               webhook._headers(a.webhook_id, p.url, p.options, p.secrets, e.id, e.type, e.created_at, e.data, e.previous,
                                e.key, e.source, a.delivery_id, a.at) END,
           a.response_code, a.response_headers, webhook._readable(a.response_body), a.response_time_ms, a.error
    FROM webhook.attempts a
    LEFT JOIN webhook.events e ON e.id = a.event_id
    LEFT JOIN LATERAL webhook._endpoint(a.webhook_id, a.delivery_id) p ON true
    WHERE a.delivery_id = webhook_attempts.delivery_id AND a.number > 0
    ORDER BY a.number;
    IF NOT FOUND AND NOT EXISTS (SELECT FROM webhook.deliveries d WHERE d.id = webhook_attempts.delivery_id) THEN
        PERFORM webhook._no_delivery(webhook_attempts.delivery_id);
    END IF;
END $$;
COMMENT ON FUNCTION webhook_attempts(text) IS
    'Every HTTP request of a delivery: response, time, error. request_headers are derived from the event and the webhook as it is now, secrets and signatures redacted. Errors: 42704, 22023.';

CREATE FUNCTION webhook._headers(
    webhook_id text, url text, options jsonb, secrets text[], event_id text, type text, created_at timestamptz,
    data json, previous json, key text, source text, delivery_id text, at timestamptz) RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', '_headers_wrapper';
COMMENT ON FUNCTION webhook._headers(text, text, jsonb, text[], text, text, timestamptz, json, json, text, text, text, timestamptz) IS
    'The headers of one attempt as the relay would send them, secrets and signatures redacted.';

CREATE FUNCTION webhook_replay(delivery_id text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    d webhook.deliveries;
BEGIN
    PERFORM webhook._check_delivery(webhook_replay.delivery_id);
    SELECT * INTO d FROM webhook.deliveries v WHERE v.id = webhook_replay.delivery_id;
    IF NOT FOUND THEN
        PERFORM webhook._no_delivery(webhook_replay.delivery_id);
    ELSIF NOT EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = d.webhook_id) THEN
        PERFORM webhook._no_webhook(d.webhook_id);
    ELSIF NOT EXISTS (SELECT FROM webhook.events e WHERE e.id = d.event_id) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = format('event "%s" is past webhook.retention', d.event_id),
            HINT = 'Its data is gone, so it cannot be sent again.';
    END IF;
    RETURN webhook._queue(d.event_id, d.webhook_id, 'replay');
END $$;
COMMENT ON FUNCTION webhook_replay(text) IS
    'Sends a delivery again, at once and with a new schedule, as further attempts of the same delivery. Returns its id. Errors: 42704, 55000 when the event is gone.';

-- Takes a delivery out of pending; the log remembers one that was never attempted.
CREATE FUNCTION webhook._cancel(p_delivery_id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    p webhook.pending;
BEGIN
    DELETE FROM webhook.pending d WHERE d.delivery_id = p_delivery_id RETURNING * INTO p;
    IF NOT FOUND THEN RETURN false; END IF;
    IF p.attempts = 0 THEN
        INSERT INTO webhook.attempts (delivery_id, number, event_id, webhook_id, at, outcome)
        VALUES (p.delivery_id, 0, p.event_id, p.webhook_id, clock_timestamp(), 'canceled') ON CONFLICT DO NOTHING;
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION webhook_cancel(delivery_id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM webhook._check_delivery(webhook_cancel.delivery_id);
    IF webhook._cancel(webhook_cancel.delivery_id) THEN RETURN true; END IF;
    IF NOT EXISTS (SELECT FROM webhook.attempts a WHERE a.delivery_id = webhook_cancel.delivery_id) THEN
        PERFORM webhook._no_delivery(webhook_cancel.delivery_id);
    END IF;
    RETURN false;
END $$;
COMMENT ON FUNCTION webhook_cancel(text) IS
    'Cancels a pending delivery; false when it is not pending any more. A request already on its way is still logged. Errors: 42704, 22023.';
-- Replay of a time range, also for a webhook that was created later.

CREATE FUNCTION webhook_replay(
    webhook_id text, since timestamptz, until timestamptz DEFAULT pg_catalog.now(), status text DEFAULT 'failed') RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
    c webhook.cursors := webhook._cursor();
    at timestamptz := clock_timestamp();
    queued bigint;
BEGIN
    SELECT * INTO w FROM webhook.webhooks h WHERE h.id = webhook_replay.webhook_id AND h.host IS NULL
        AND webhook._account() IN ('', h.account);
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_replay.webhook_id); END IF;
    IF since IS NULL OR until IS NULL OR since > until THEN
        RAISE EXCEPTION USING ERRCODE = '22023',
            MESSAGE = format('%s to %s is not a time range', coalesce(since::text, 'NULL'), coalesce(until::text, 'NULL')),
            HINT = 'Give since, and until if it is not now: since => now() - interval ''3 days''.';
    ELSIF status IS NULL OR status NOT IN ('failed', 'canceled', 'delivered', 'missed', 'all') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('status "%s" cannot be replayed', status),
            HINT = 'failed, canceled or delivered deliveries; missed: events that match and never went to this webhook; or all of these.';
    END IF;
    -- Due in the events' order, one microsecond after the other: claims take them in that order, a few at a time beside
    -- what is new. Ordered webhooks keep their order per key as ever.
    INSERT INTO webhook.pending AS p (delivery_id, event_id, webhook_id, key, reason, attempts, due_at, ordered, seq)
    SELECT m.delivery_id, m.id, w.id, m.key, 'replay', m.attempts,
           greatest(at + m.place * interval '1 microsecond', m.deliver_at),
           m.ordered, CASE WHEN m.ordered THEN m.seq ELSE 0 END
    FROM (
        SELECT e.id, e.key, e.seq, e.deliver_at, i.delivery_id, coalesce(d.number, 0) AS attempts,
               e.key IS NOT NULL AND coalesce((w.options->>'ordered')::boolean, false) AS ordered,
               row_number() OVER (ORDER BY e.epoch = webhook._epoch(), e.seq, e.xid) AS place
        FROM webhook.events e
        CROSS JOIN LATERAL (SELECT webhook._delivery_id(e.id, w.id)) i(delivery_id)
        LEFT JOIN LATERAL (SELECT a.number, CASE a.outcome WHEN 'retry' THEN 'canceled' ELSE a.outcome END AS outcome
                           FROM webhook.attempts a WHERE a.delivery_id = i.delivery_id
                           ORDER BY a.number DESC LIMIT 1) d ON true
        WHERE e.id >= webhook._id_floor('evt', since) AND e.id < webhook._id_floor('evt', until + interval '1 millisecond')
          AND e.created_at BETWEEN since AND until
          AND NOT EXISTS (SELECT FROM webhook.pending q WHERE q.delivery_id = i.delivery_id AND q.reason <> 'blocked')
          AND CASE WHEN d.outcome IS NOT NULL THEN webhook_replay.status IN (d.outcome, 'all')
              ELSE webhook_replay.status IN ('missed', 'all') AND e.target IS NULL
                   AND webhook._mismatch(w, e) IS NULL
                   -- What the relay has still to read it will send by itself.
                   AND (e.created_at < w.active_since OR NOT webhook._is_unread(c, e.epoch, e.xid, e.seq)) END
    ) m
    ORDER BY m.place
    ON CONFLICT (delivery_id) DO UPDATE SET due_at = excluded.due_at, tries = 0, reason = excluded.reason
        WHERE p.reason = 'blocked' AND p.lease = 0;
    GET DIAGNOSTICS queued = ROW_COUNT;
    PERFORM pg_notify('webhook', '');
    RETURN queued;
END $$;
COMMENT ON FUNCTION webhook_replay(text, timestamptz, timestamptz, text) IS
    'Sends to a webhook again, in the order of the events and one after the other, beside what is new (option ordered: in order per key, keys beside each other), what failed between since and until; or what was canceled, delivered, missed (events that match it and never went to it, as before it was created), or all of these. What is pending stays as it is. Returns how many. Errors: 42704, 22023.';
-- Who got an event, who did not, and why; and what would be sent.

CREATE FUNCTION webhook._event(id text) RETURNS webhook.events
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    e webhook.events;
BEGIN
    PERFORM webhook._check_id('evt', id);
    SELECT * INTO e FROM webhook.events h WHERE h.id = _event.id AND webhook._account() IN ('', h.account);
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('event "%s" does not exist', id),
            HINT = 'It was rolled back, or is past webhook.retention.';
    END IF;
    RETURN e;
END $$;

-- A delivery in words.
CREATE FUNCTION webhook._delivery_words(d webhook.deliveries) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE d.status
        WHEN 'delivered' THEN format('HTTP %s at attempt %s', d.response_code, d.attempts)
        WHEN 'canceled' THEN format('canceled after %s attempts', d.attempts)
        WHEN 'pending' THEN format('%s attempts so far, the next one %s', d.attempts,
            coalesce('at ' || d.next_attempt_at::text, 'when those before it of the same key are done'))
        ELSE format('failed for good at attempt %s', d.attempts) END
        || CASE WHEN d.status <> 'delivered' THEN coalesce(
               ': ' || concat_ws(', ', 'HTTP ' || d.response_code::text, d.error), '') ELSE '' END
$$;

-- Why there is no delivery, given that of _mismatch: the result's word and a sentence.
CREATE FUNCTION webhook._absence(w webhook.webhooks, e webhook.events, miss text, OUT result text, OUT reason text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT r.result, CASE r.result
        WHEN 'other_account' THEN format('the event is of %s, the webhook of %s',
            coalesce('account ' || quote_ident(e.account), 'no account'), coalesce('account ' || quote_ident(w.account), 'no account'))
        WHEN 'not_subscribed' THEN CASE WHEN e.target IS NOT NULL THEN format('it is for %s alone', e.target)
            ELSE format('neither its events %s nor a subscription has "%s"%s', w.events, e.type,
                        coalesce(' from ' || e.source, '')) END
        WHEN 'filtered_out' THEN webhook._filter_miss(w.filter_config::text, e.data)
        WHEN 'too_new' THEN format('it takes events from %s on; webhook_replay(''%s'', since => ..., status => ''missed'') sends older ones',
                                   w.active_since, w.id)
        WHEN 'inactive' THEN coalesce('made inactive: ' || w.disabled_reason, 'made inactive by webhook_update')
        WHEN 'unread' THEN CASE WHEN EXISTS (SELECT FROM webhook.relays h WHERE h.seen_at > clock_timestamp() - interval '20 seconds')
            THEN 'no relay has recorded it yet' ELSE 'no relay is running' END
        ELSE 'it would match now, and did not when the relay read it: the webhook was changed since'
    END
    FROM (SELECT CASE WHEN miss IS NOT NULL THEN miss
                      WHEN e.created_at < w.active_since THEN 'too_new'
                      WHEN w.status <> 'active' AND w.options->'keep_backlog' IS DISTINCT FROM 'true' THEN 'inactive'
                      WHEN webhook._is_unread(webhook._cursor(), e.epoch, e.xid, e.seq) THEN 'unread'
                      ELSE 'missed' END) r(result)
$$;

CREATE FUNCTION webhook_explain(event_id text)
    RETURNS TABLE (webhook_id text, name text, result text, reason text, delivery_id text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    e webhook.events := webhook._event(webhook_explain.event_id);
    mine text := webhook._account();
BEGIN
    RETURN QUERY
    SELECT coalesce(w.id, d.webhook_id), w.name, coalesce(d.status, a.result),
           CASE WHEN d.id IS NULL THEN a.reason
                ELSE webhook._delivery_words(d) || CASE WHEN w.id IS NULL THEN '; the webhook was deleted' ELSE '' END END,
           d.id
    FROM (SELECT h.id, h.name, h AS hook FROM webhook.webhooks h
          WHERE (h.host IS NULL OR h.id = e.target) AND mine IN ('', h.account)) w
    FULL JOIN (SELECT v.* FROM webhook.deliveries v
               WHERE v.id >= webhook._id_floor('del', webhook._id_time(e.id))
                 AND v.id < webhook._id_floor('del', webhook._id_time(e.id) + interval '1 millisecond')
                 AND v.event_id = e.id) d ON d.webhook_id = w.id
    LEFT JOIN LATERAL webhook._absence(w.hook, e, webhook._mismatch(w.hook, e)) a
           ON d.id IS NULL
    WHERE mine = '' OR w.id IS NOT NULL
    ORDER BY 1;
END $$;
COMMENT ON FUNCTION webhook_explain(text) IS
    'For each webhook what became of an event: delivered, pending, failed or canceled; or why it has no delivery: other_account, not_subscribed, filtered_out (the clause), too_new, inactive, unread, missed. Errors: 42704, 22023.';

-- Where a delivery goes and how: the webhook's endpoint, or that of a one-off request.
CREATE FUNCTION webhook._endpoint(p_webhook_id text, p_delivery_id text, OUT url text, OUT options jsonb, OUT secrets text[])
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT coalesce(r.url, w.url), webhook._seconds(coalesce(r.options, w.options)),
           ARRAY(SELECT s.secret FROM webhook.secrets s
                 WHERE s.webhook_id = w.id AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
                 ORDER BY s.created_at DESC)
    FROM webhook.webhooks w LEFT JOIN webhook.requests r ON r.delivery_id = p_delivery_id
    WHERE w.id = p_webhook_id
$$;

CREATE FUNCTION webhook._render(
    webhook_id text, url text, options jsonb, secrets text[], event_id text, type text, created_at timestamptz,
    data json, previous json, key text, source text, delivery_id text, at timestamptz)
    RETURNS TABLE (method text, url text, headers json, body bytea)
    LANGUAGE c STABLE ROWS 1 AS 'MODULE_PATHNAME', '_render_wrapper';

CREATE FUNCTION webhook_render(event_id text, webhook_id text)
    RETURNS TABLE (method text, url text, headers json, body text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    e webhook.events := webhook._event(webhook_render.event_id);
    delivery text := webhook._delivery_id(webhook_render.event_id, webhook_render.webhook_id);
BEGIN
    IF NOT EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = webhook_render.webhook_id AND webhook._account() IN ('', w.account)) THEN
        PERFORM webhook._no_webhook(webhook_render.webhook_id);
    END IF;
    RETURN QUERY
    SELECT r.method, r.url, r.headers, convert_from(r.body, 'UTF8')
    FROM webhook._endpoint(webhook_render.webhook_id, delivery) p,
         webhook._render(webhook_render.webhook_id, p.url, p.options, p.secrets, e.id, e.type, e.created_at, e.data, e.previous,
                         e.key, e.source, delivery, clock_timestamp()) r;
END $$;
COMMENT ON FUNCTION webhook_render(text, text) IS
    'The exact request that this webhook would get for this event now, whether it matches or not; nothing is sent. Signatures and headers in full. Errors: 42704, 22023.';
-- One-off requests: an event for the hidden webhook of their host, which sends them one after the other.

CREATE FUNCTION webhook._origin(url text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_origin_wrapper';
COMMENT ON FUNCTION webhook._origin(text) IS 'scheme://host:port of a URL. Errors: 22023.';

-- The hidden webhook of a host, for each account its own. Transactions that are the first to send to it each make one, rather than wait for each other;
-- later ones use the oldest.
CREATE FUNCTION webhook._send_lane(origin text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    at timestamptz := clock_timestamp();
    own text := nullif(webhook._account(), '');
    lane text;
BEGIN
    SELECT min(w.id) INTO lane FROM webhook.webhooks w WHERE w.host = origin AND w.account IS NOT DISTINCT FROM own;
    IF lane IS NULL THEN
        INSERT INTO webhook.webhooks (id, url, host, name, account, events, options, created_at, updated_at, active_since)
        VALUES (webhook._new_id('wh'), origin, origin, 'webhook_send to ' || origin, own, '{}',
                '{"signature": "none", "format": "data", "ordered": true, "retry_schedule": []}', at, at, at)
        RETURNING id INTO lane;
    END IF;
    RETURN lane;
END $$;

-- The options of a one-off request, complete and checked.
CREATE FUNCTION webhook._send_options(
    method text, data jsonb, headers jsonb, params jsonb, auth jsonb, options jsonb) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    own constant text[] := '{timeout_ms,retry_schedule,store_response,format,client_cert,header_name,header_value,signature}';
    other text;
BEGIN
    IF method IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'method must not be null', HINT = 'Give method a value: POST.';
    END IF;
    PERFORM webhook._check_options(options);
    SELECT o INTO other FROM jsonb_object_keys(coalesce(options, '{}')) o WHERE o <> ALL (own);
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('option "%s" is not for a single request', other),
            HINT = format('Options of webhook_send are %s; method, headers, params and auth are arguments.', array_to_string(own, ', '));
    ELSIF coalesce(options->>'signature', 'none') NOT IN ('none', 'static') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('signature "%s" is not for a single request', options->>'signature'),
            HINT = 'It has no secret: signature is none, or static with header_name and header_value. Use webhook_create for signed ones.';
    END IF;
    RETURN webhook._check_options(
        jsonb_build_object('signature', 'none', 'timeout_ms', 5000, 'retry_schedule', '[]'::jsonb,
                           'format', CASE WHEN data IS NULL THEN 'none' ELSE 'data' END)
        || coalesce(jsonb_strip_nulls(options), '{}')
        || jsonb_build_object('method', method, 'headers', coalesce(headers, '{}'), 'params', coalesce(params, '{}'), 'auth', auth));
END $$;

CREATE FUNCTION webhook_send(
    method text, url text, data jsonb DEFAULT NULL, headers jsonb DEFAULT '{}', params jsonb DEFAULT '{}',
    auth jsonb DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    target text := webhook._check_url(webhook_send.url);
    checked jsonb := webhook._send_options(method, data, headers, params, auth, options);
    origin text := webhook._origin(target);
    lane text := webhook._send_lane(origin);
    delivery text;
BEGIN
    delivery := webhook._delivery_id(
        webhook._append('webhook.send', coalesce(data, 'null')::json, key => origin,
                        account => nullif(webhook._account(), ''), target => lane), lane);
    INSERT INTO webhook.requests (delivery_id, url, options) VALUES (delivery, target, checked);
    RETURN delivery;
END $$;
COMMENT ON FUNCTION webhook_send(text, text, jsonb, jsonb, jsonb, jsonb, jsonb) IS
    'One HTTP request, sent when this transaction has committed, to one host in the order of the calls; JSON, within 5 s, and once, unless options (timeout_ms, retry_schedule) say otherwise. Returns the delivery''s id: webhook_attempts(id) shows request and response. Errors: 22023, 54000.';
-- Filters.
CREATE FUNCTION webhook_filter_test(filter_config jsonb, payload jsonb) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'webhook_filter_test_wrapper';
COMMENT ON FUNCTION webhook_filter_test(jsonb, jsonb) IS
    'Whether an event with this data passes the filter. Errors: 22023 for a bad filter, naming the path and operator.';

CREATE FUNCTION webhook_filter_preview(
    filter_config jsonb, event text, since interval DEFAULT '7 days', OUT total bigint, OUT matched bigint, OUT samples text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    mine text := webhook._account();
BEGIN
    PERFORM webhook._check_filter(webhook_filter_preview.filter_config);
    PERFORM webhook._check_patterns(ARRAY[event]);
    IF since IS NULL OR since <= '0' OR since > '10 years' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('since "%s" is out of range', coalesce(since::text, 'NULL')),
            HINT = 'How far to look back: above 0, at most 10 years; 7 days is the default.';
    END IF;
    SELECT count(*), count(*) FILTER (WHERE m.passes), (array_agg(m.id ORDER BY m.id DESC) FILTER (WHERE m.passes))[1:10]
    INTO total, matched, samples
    FROM (SELECT e.id, webhook._filter_miss(webhook_filter_preview.filter_config::text, e.data) IS NULL AS passes
          FROM webhook.events e
          WHERE e.id >= webhook._id_floor('evt', now() - since) AND e.target IS NULL AND mine IN ('', e.account)
            AND webhook._pattern_matches(ARRAY[event], e.type)
          OFFSET 0) m;
END $$;
COMMENT ON FUNCTION webhook_filter_preview(jsonb, text, interval) IS
    'What a filter would have let through of past events: how many there were of that type or pattern, how many pass, and the ids of the ten newest that do. Errors: 22023.';
-- Signatures, statistics, adoption, rights.

CREATE FUNCTION webhook_sign(payload text, secret text, scheme text DEFAULT 'sha256') RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'webhook_sign_wrapper';
COMMENT ON FUNCTION webhook_sign(text, text, text) IS
    'The signature of a payload: scheme sha256 (sha256=<hex>), hex, or standard (v1,<base64>, by a whsk_ key v1a,<base64>; then the payload is id.timestamp.body). Errors: 22023 for another scheme or a wrong key.';

CREATE FUNCTION webhook_verify(
    payload text, signature text, secret text, scheme text DEFAULT 'sha256', id text DEFAULT NULL,
    "timestamp" bigint DEFAULT NULL) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'webhook_verify_wrapper';
COMMENT ON FUNCTION webhook_verify(text, text, text, text, text, bigint) IS
    'Whether a signature is right, compared in constant time. Scheme sha256, hex, or standard: then id and timestamp are the webhook-id and webhook-timestamp headers (without them the payload is id.timestamp.body), and the secret may be a public key, whpk_<base64>. Errors: 22023.';

-- Is row (xid) still unread, seen from the newest cursor?
CREATE FUNCTION webhook._unread(OUT backlog bigint, OUT oldest timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    c webhook.cursors;
    low pg_snapshot := '3:3:';
    high pg_snapshot;
    least_seq bigint := 0;
BEGIN
    SELECT * INTO c FROM webhook.cursors ORDER BY n DESC LIMIT 1;
    IF FOUND THEN
        low := c."window"::jsonb->>'low';
        high := c."window"::jsonb->>'high';
        least_seq := least((c."window"::jsonb->>'floor')::bigint,
                           (SELECT min((o->>1)::bigint) FROM jsonb_array_elements(c."window"::jsonb->'old') o));
    END IF;
    SELECT count(*), min(e.created_at) INTO backlog, oldest
    FROM webhook.events e
    WHERE e.seq >= least_seq AND e.epoch = webhook._epoch()
      AND NOT pg_visible_in_snapshot(e.xid, low)
      AND (high IS NULL OR NOT pg_visible_in_snapshot(e.xid, high) OR (e.seq, e.xid) > (c.seq, c.xid::text::xid8));
END $$;

CREATE FUNCTION webhook_stats()
    RETURNS TABLE (backlog bigint, oldest_unread timestamptz, oldest_unread_age interval, pending bigint,
                   pending_due bigint, in_flight bigint, events_per_minute bigint, delivered_per_minute bigint,
                   failed_attempts_per_minute bigint, webhooks_active bigint, webhooks_failing bigint,
                   capture_lost bigint, relays_alive bigint, leader text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    WITH recent AS (SELECT webhook._id_floor('evt', now() - interval '1 minute') AS event,
                           webhook._id_floor('del', now() - interval '1 minute') AS delivery)
    SELECT u.backlog, u.oldest, clock_timestamp() - u.oldest,
           (SELECT count(*) FROM webhook.pending),
           (SELECT count(*) FROM webhook.pending p WHERE p.due_at <= clock_timestamp() AND p.lease = 0),
           (SELECT coalesce(sum(r.in_flight), 0) FROM webhook.relays r WHERE r.seen_at > clock_timestamp() - interval '20 seconds'),
           (SELECT count(*) FROM webhook.events e WHERE e.id >= (SELECT event FROM recent)),
           (SELECT count(*) FROM webhook.attempts a WHERE a.delivery_id >= (SELECT delivery FROM recent) AND a.outcome = 'delivered'),
           (SELECT count(*) FROM webhook.attempts a WHERE a.delivery_id >= (SELECT delivery FROM recent) AND a.outcome IN ('failed', 'retry')),
           (SELECT count(*) FROM webhook.webhooks w WHERE w.status = 'active' AND w.host IS NULL),
           (SELECT count(*) FROM webhook.webhooks w WHERE w.failing_since IS NOT NULL),
           (SELECT count(*) FROM webhook.losses),
           (SELECT count(*) FROM webhook.relays r WHERE r.seen_at > clock_timestamp() - interval '20 seconds'),
           (SELECT r.instance FROM webhook.relays r WHERE r.leader AND r.seen_at > clock_timestamp() - interval '20 seconds'
            ORDER BY r.seen_at DESC LIMIT 1)
    FROM webhook._unread() u
$$;
COMMENT ON FUNCTION webhook_stats() IS
    'One row: events not read yet and the age of the oldest, pending deliveries, what happened in the last minute (of events of that minute), webhooks, relays alive.';

CREATE FUNCTION webhook_adopt() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    low pg_snapshot;
    c webhook.cursors;
BEGIN
    LOCK TABLE webhook.identity IN EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM pg_class t, aclexplode(t.relacl) g
               WHERE t.oid = 'webhook.events'::regclass AND g.grantee <> t.relowner) THEN
        PERFORM webhook._enable_policies();
    END IF;
    IF webhook._is_home() THEN RETURN false; END IF;
    SELECT * INTO c FROM webhook.cursors ORDER BY n DESC LIMIT 1;
    low := coalesce(c."window"::jsonb->>'low', '3:3:')::pg_snapshot;
    -- What the old cluster had not read yet is stamped as emitted here and now; all else stays history.
    PERFORM webhook._emit_again(array_agg(e.id ORDER BY e.seq, e.xid))
    FROM webhook.events e
    WHERE e.epoch <> webhook._epoch() AND NOT pg_visible_in_snapshot(e.xid, low)
      AND (c."window"::jsonb->>'high' IS NULL
           OR NOT pg_visible_in_snapshot(e.xid, (c."window"::jsonb->>'high')::pg_snapshot)
           OR (e.seq, e.xid) > (c.seq, c.xid::text::xid8));
    UPDATE webhook.pending SET lease = 0, leased_by = NULL, due_at = least(due_at, clock_timestamp()) WHERE lease <> 0;
    DELETE FROM webhook.cursors;
    INSERT INTO webhook.identity AS i (system_identifier, database)
    SELECT s.system_identifier, d.oid FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
    ON CONFLICT (one) DO UPDATE
        SET (system_identifier, database, adopted_at) = (excluded.system_identifier, excluded.database, clock_timestamp());
    PERFORM pg_notify('webhook', '');
    RETURN true;
END $$;
COMMENT ON FUNCTION webhook_adopt() IS
    'This restored or cloned database may send: what was unread or pending goes on, nothing old is sent again. False when it is adopted already.';

CREATE FUNCTION webhook._emit_again(ids text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    UPDATE webhook.events e
    SET epoch = webhook._epoch(), xid = pg_current_xact_id(),
        seq = (pg_current_wal_insert_lsn() - '0/0')::bigint + i.n
    FROM unnest(ids) WITH ORDINALITY i(id, n)
    WHERE e.id = i.id
$$;

CREATE FUNCTION webhook._is_home() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT coalesce((SELECT i.system_identifier = s.system_identifier AND i.database = d.oid
                     FROM webhook.identity i),
                    NOT EXISTS (SELECT FROM webhook.events e WHERE e.epoch <> webhook._epoch()))
    FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()
$$;

-- What each capability may do. A function is named with its argument types by its oid, so that overloads are safe.
CREATE FUNCTION webhook._capabilities() RETURNS TABLE (capability text, privilege text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    WITH functions AS (
        SELECT p.oid::regprocedure::text AS signature, p.proname::text AS name
        FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid AND x.extname = 'pg_webhook'
    )
    SELECT c.capability, 'EXECUTE ON FUNCTION ' || f.signature
    FROM functions f JOIN (VALUES
        ('emit', '^webhook_(emit)$'),
        ('read', '^webhook_(get|list|deliveries|attempts|event_types|sources|subscriptions|explain|stats|filter_test|filter_preview|sign|verify)$'),
        ('read', '^_id_time$'), -- The view webhook.deliveries calls it as its reader.
        ('manage', '^webhook_(?!adopt|grant)'),
        ('manage', '^_(check_(watchable|names|columns|event_type|id)|checked_source|invalid|watch|condition_for|source_(put|types|remove)|trigger_(name|statements|when)|any_changes|drop_triggers)$'),
        ('relay', '^_(relay_|library_version)')
    ) AS c(capability, pattern) ON f.name ~ c.pattern
    UNION ALL
    SELECT 'read', 'SELECT ON webhook.deliveries, webhook.pending, webhook.attempts, webhook.events, webhook.event_types, webhook.sources, webhook.subscriptions, webhook.relays, webhook.cursors'
    UNION ALL
    SELECT 'read', 'SELECT (id, url, name, description, events, status, disabled_reason, filter_config, account, created_at, updated_at, active_since, failing_since) ON webhook.webhooks'
$$;

CREATE FUNCTION webhook_grant(role regrole, capability text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    privilege text;
BEGIN
    IF role IS NULL OR capability IS NULL OR capability NOT IN ('emit', 'read', 'manage', 'relay') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('capability "%s" is unknown', capability),
            HINT = 'Capabilities are emit, read, manage and relay.';
    END IF;
    IF capability <> 'emit' THEN
        EXECUTE format('GRANT USAGE ON SCHEMA webhook TO %s', role);
    END IF;
    IF capability = 'read' THEN PERFORM webhook._enable_policies(); END IF;
    FOR privilege IN SELECT c.privilege FROM webhook._capabilities() c WHERE c.capability = webhook_grant.capability LOOP
        EXECUTE format('GRANT %s TO %s', privilege, role);
    END LOOP;
END $$;
COMMENT ON FUNCTION webhook_grant(regrole, text) IS
    'Gives a role a capability: emit, read, manage (webhooks, sources, deliveries) or relay (what webhook-relay needs). Errors: 22023.';

SET LOCAL search_path = pg_catalog, pg_temp;

-- What the relay calls, in the order it calls it.
-- A relay arrives, lives and leaves.

CREATE FUNCTION webhook._relay_hello(p_instance text, p_version text, p_host text, p_pid integer)
    RETURNS TABLE (extension_version text, library_version text, server_version integer, adopted boolean, identity text,
                   in_recovery boolean, settings jsonb, clock_us bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF NOT pg_is_in_recovery() THEN
        INSERT INTO webhook.relays AS r (instance, version, host, pid) VALUES (p_instance, p_version, p_host, p_pid)
        ON CONFLICT (instance) DO UPDATE SET seen_at = clock_timestamp();
        -- The first relay of a new outbox settles where home is.
        INSERT INTO webhook.identity (system_identifier, database)
        SELECT s.system_identifier, d.oid FROM pg_control_system() s, pg_database d
        WHERE d.datname = current_database() AND webhook._is_home() AND NOT EXISTS (SELECT FROM webhook.identity)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN QUERY
    SELECT x.extversion, webhook._library_version(), current_setting('server_version_num')::integer, webhook._is_home(),
           (SELECT s.system_identifier::text FROM pg_control_system() s) || '/' || current_database(),
           pg_is_in_recovery(),
           jsonb_build_object('max_payload_bytes', pg_size_bytes(current_setting('webhook.max_payload_bytes')),
               'retention_seconds', extract(epoch FROM webhook._retention())::bigint),
           (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    FROM pg_extension x WHERE x.extname = 'pg_webhook';
END $$;

CREATE FUNCTION webhook._relay_beat(p_instance text, p_leader boolean, p_in_flight integer, p_queued integer)
    RETURNS TABLE (alive integer, adopted boolean, clock_us bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    UPDATE webhook.relays r
    SET leader = p_leader, in_flight = p_in_flight, queued = p_queued, seen_at = clock_timestamp()
    WHERE r.instance = p_instance;
    DELETE FROM webhook.relays r WHERE r.seen_at < clock_timestamp() - interval '1 hour';
    RETURN QUERY
    SELECT count(*)::integer, webhook._is_home(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    FROM webhook.relays r
    WHERE r.seen_at > clock_timestamp() - interval '20 seconds';
END $$;

CREATE FUNCTION webhook._relay_bye(p_instance text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    DELETE FROM webhook.relays r WHERE r.instance = p_instance
$$;
-- One relay leads, and its takeover row fences every older leader's records. It leads by the lock that its session holds; behind
-- a pooler that lends sessions for one transaction each, by a lease in webhook.relays. Whoever takes or renews a lease holds the
-- lock meanwhile, and whoever holds the lock looks for leases, so that the two kinds exclude each other.

CREATE FUNCTION webhook._lock() RETURNS bigint
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_lock_wrapper';
COMMENT ON FUNCTION webhook._lock() IS 'The advisory lock that the leading relay holds; emitters look whether somebody does.';

CREATE FUNCTION webhook._is_leased_but_to(p_instance text) RETURNS boolean
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT EXISTS (SELECT FROM webhook.relays r WHERE r.leads_until > clock_timestamp() AND r.instance <> p_instance)
$$;

CREATE FUNCTION webhook._take_over(p_instance text)
    RETURNS TABLE (n bigint, "window" text, seq bigint, xid bigint, ahead bigint)
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    c webhook.cursors;
BEGIN
    LOOP
        SELECT * INTO c FROM webhook.cursors k ORDER BY k.n DESC LIMIT 1;
        IF NOT FOUND THEN
            -- Everything ever emitted here is unread.
            c := (0, '', '{"low": "3:3:", "floor": 0, "old": []}', 0, 0, 0, NULL);
        END IF;
        INSERT INTO webhook.cursors (n, leader, "window", seq, xid, ahead)
        VALUES (c.n + 1, p_instance, c."window", c.seq, c.xid, c.ahead) ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN QUERY SELECT c.n + 1, c."window", c.seq, c.xid, c.ahead;
END $$;

CREATE FUNCTION webhook._relay_lead(p_instance text)
    RETURNS TABLE (n bigint, "window" text, seq bigint, xid bigint, ahead bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    -- Never a lock call that waits: it would hold a snapshot for as long as the other one leads.
    IF NOT webhook._is_home() OR NOT pg_try_advisory_lock(webhook._lock()) THEN RETURN; END IF;
    IF webhook._is_leased_but_to(p_instance) THEN
        PERFORM pg_advisory_unlock(webhook._lock());
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM webhook._take_over(p_instance);
END $$;

CREATE FUNCTION webhook._relay_resign() RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT pg_advisory_unlock(webhook._lock())
$$;

CREATE FUNCTION webhook._relay_renew_lease(p_instance text, p_lease_ms integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    -- The lock is let go only when the lease can be seen.
    IF NOT pg_try_advisory_xact_lock(webhook._lock()) OR webhook._is_leased_but_to(p_instance) THEN RETURN false; END IF;
    UPDATE webhook.relays r SET leads_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
    WHERE r.instance = p_instance;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION webhook._relay_renew_lease(text, integer) IS
    'True: this relay leads for so long. False says only that it could not be found out now.';

CREATE FUNCTION webhook._relay_lease_lead(p_instance text, p_lease_ms integer)
    RETURNS TABLE (n bigint, "window" text, seq bigint, xid bigint, ahead bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF webhook._is_home() AND webhook._relay_renew_lease(p_instance, p_lease_ms) THEN
        RETURN QUERY SELECT * FROM webhook._take_over(p_instance);
    END IF;
END $$;

CREATE FUNCTION webhook._relay_end_lease(p_instance text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    UPDATE webhook.relays r SET leads_until = NULL WHERE r.instance = p_instance
$$;
-- Reading the outbox: every committed event exactly once, in order, without waiting for anybody.
--
-- The reader takes snapshots S0, S1, ... and reads between two of them, low and high, what is visible in high and not in
-- low. A transaction that was running in low is read in the window in which it has committed; nobody waits for it.
-- `id > last` would lose it; `xid < xmin` would stall behind it.
--
-- Rows are read in the order of seq, which is the WAL position at emission: an event emitted after another one's commit
-- has the larger seq, so events of one row come in the order of their commits. To find the unread rows in that order
-- without scanning what is read, the window carries lower bounds of their seq:
--   floor  unread rows of transactions at or past xmax(low) have no smaller seq;
--   old    the same for each transaction that was running in low, as [xid, floor];
--   mark   [lsn, xid]: transactions from xid on emit at lsn or later. Once xmax(low) reaches xid, floor rises to lsn.

CREATE FUNCTION webhook._wal_mark() RETURNS TABLE (lsn bigint, next_xid bigint)
    ROWS 1 LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', '_wal_mark_wrapper';
COMMENT ON FUNCTION webhook._wal_mark() IS
    'First the WAL insert position, then the next transaction id: what any transaction from next_xid on emits lies at or after lsn.';

CREATE FUNCTION webhook._flush_wal() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', '_flush_wal_wrapper';
COMMENT ON FUNCTION webhook._flush_wal() IS
    'Returns when the WAL written so far is on disk. A commit with synchronous_commit = off is visible before that; an event sent earlier could announce a fact that a crash undoes.';

-- The window that follows when this one is read to its end at snapshot high.
CREATE FUNCTION webhook._next_window(w jsonb, high pg_snapshot) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    edge bigint := pg_snapshot_xmax(high)::text::bigint;
    floor bigint := (w->>'floor')::bigint;
    risen bigint := floor;
    mark jsonb := w->'mark';
    fresh record;
BEGIN
    IF mark IS NULL OR (mark->>1)::bigint <= edge THEN
        risen := coalesce((mark->>0)::bigint, floor);
        SELECT * INTO fresh FROM webhook._wal_mark();
        mark := jsonb_build_array(fresh.lsn, fresh.next_xid);
    END IF;
    RETURN jsonb_build_object('low', high, 'floor', risen, 'mark', mark, 'old', coalesce((
        SELECT jsonb_agg(jsonb_build_array(x.xid, coalesce((SELECT (o->>1)::bigint FROM jsonb_array_elements(w->'old') o
                                                            WHERE (o->>0)::bigint = x.xid), floor)))
        FROM (SELECT x::text::bigint AS xid FROM pg_snapshot_xip(high) x) x), '[]'));
END $$;

CREATE FUNCTION webhook._relay_read(
    p_window text, p_seq bigint, p_xid bigint, p_max_rows integer, p_max_bytes bigint, p_config text)
    RETURNS TABLE (id text, type text, created_at timestamptz, data bytea, previous bytea, key text, account text,
                   source text, wait_ms bigint, target text, seq bigint, xid bigint, more text, next text,
                   config_changed boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp
    -- One plan for good, along the index: planning over the partitions would cost ten times the read itself.
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off AS $$
DECLARE
    w jsonb := p_window;
    low pg_snapshot := w->>'low';
    high pg_snapshot := coalesce((w->>'high')::pg_snapshot, pg_current_snapshot());
    edge xid8 := pg_snapshot_xmax(low);
    edge_floor bigint := (w->>'floor')::bigint;
    here integer := webhook._epoch();
    after_xid xid8 := p_xid::text::xid8;
    -- Of the transactions that ran in low and are visible in high, those that began so many bytes of WAL ago are looked up
    -- one by one, so that the others' scan need not begin so far back.
    far CONSTANT bigint := 16 * 1024 * 1024;
    far_xids xid8[];
    far_floors bigint[];
    near_xid xid8;
    near_floor bigint;
BEGIN
    SELECT coalesce(array_agg(o.xid::text::xid8) FILTER (WHERE o.is_far), '{}'), coalesce(array_agg(o.floor) FILTER (WHERE o.is_far), '{}'),
           least(min(o.xid) FILTER (WHERE NOT o.is_far)::text::xid8, edge), least(min(o.floor) FILTER (WHERE NOT o.is_far), edge_floor)
    INTO far_xids, far_floors, near_xid, near_floor
    FROM (SELECT (v->>0)::bigint AS xid, (v->>1)::bigint AS floor, (v->>1)::bigint < edge_floor - far AS is_far
          FROM jsonb_array_elements(w->'old') v
          WHERE pg_visible_in_snapshot((v->>0)::xid8, high)) o;

    -- (seq, xid) > (p_seq, after_xid) is spelled out: as a row comparison it would be the index scan's starting point instead
    -- of the floor, and with p_seq = 0 every read would walk the whole index.
    RETURN QUERY
    SELECT u.id, u.type, u.created_at, webhook._bytes(u.data), webhook._bytes(u.previous), u.key, u.account, u.source,
           -- By this server's clock: the relay's may be wrong.
           CASE WHEN u.deliver_at > clock_timestamp() THEN ceil(extract(epoch FROM u.deliver_at - clock_timestamp()) * 1000)::bigint END,
           u.target, u.seq, u.xid::text::bigint, NULL::text, NULL::text, NULL::boolean
    FROM (
        SELECT m.*, sum(octet_length(m.data::text)) OVER (ORDER BY m.seq, m.xid ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM (
            (SELECT e.* FROM webhook.events e
             WHERE e.seq >= greatest(near_floor, p_seq) AND (e.seq > p_seq OR e.xid > after_xid) AND e.xid >= near_xid AND e.epoch = here
               AND NOT pg_visible_in_snapshot(e.xid, low) AND pg_visible_in_snapshot(e.xid, high) AND e.xid <> ALL (far_xids)
             ORDER BY e.seq, e.xid LIMIT p_max_rows)
            UNION ALL
            (SELECT e.* FROM unnest(far_xids, far_floors) o(xid, floor)
             CROSS JOIN LATERAL (
                 SELECT * FROM webhook.events r
                 WHERE r.seq >= greatest(o.floor, p_seq) AND (r.seq > p_seq OR r.xid > after_xid) AND r.xid = o.xid AND r.epoch = here
                 ORDER BY r.seq, r.xid LIMIT p_max_rows) e
             ORDER BY e.seq, e.xid LIMIT p_max_rows)
            ORDER BY seq, xid LIMIT p_max_rows
        ) m
    ) u
    WHERE coalesce(u.before, 0) < p_max_bytes
    ORDER BY u.seq, u.xid;

    IF FOUND THEN PERFORM webhook._flush_wal(); END IF;

    RETURN QUERY
    SELECT NULL::text, NULL::text, NULL::timestamptz, NULL::bytea, NULL::bytea, NULL::text, NULL::text, NULL::text,
           NULL::bigint, NULL::text, NULL::bigint, NULL::bigint,
           (w || jsonb_build_object('high', high))::text, webhook._next_window(w, high),
           p_config IS NULL OR EXISTS (
               SELECT FROM webhook.changes c
               WHERE c.xid >= pg_snapshot_xmin(p_config::pg_snapshot)
                 AND NOT pg_visible_in_snapshot(c.xid, p_config::pg_snapshot));
END $$;
COMMENT ON FUNCTION webhook._relay_read(text, bigint, bigint, integer, bigint, text) IS
    'The next page of unread events, on disk for certain, then a last row with id NULL: more (this window goes on), next (the window after it), and whether webhooks changed since p_config.';
-- What the relay caches of webhooks: all, or those changed since a token it got before.

-- options with retry_schedule in seconds, as the relay reads it.
CREATE FUNCTION webhook._seconds(options jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE WHEN options ? 'retry_schedule' THEN options || jsonb_build_object('retry_schedule',
        (SELECT coalesce(jsonb_agg(CASE WHEN jsonb_typeof(e) = 'number' THEN e
                                   ELSE to_jsonb(extract(epoch FROM (e #>> '{}')::interval)) END ORDER BY n), '[]')
         FROM jsonb_array_elements(options->'retry_schedule') WITH ORDINALITY x(e, n)))
    ELSE options END
$$;

CREATE FUNCTION webhook._relay_webhooks(p_since text)
    RETURNS TABLE (config text, id text, url text, events text[], status text, filter_config jsonb, account text,
                   options jsonb, active_since timestamptz, secrets text[], subscriptions jsonb, failing_since timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    -- On disk before it is used: a crash could undo a new secret that requests are signed with already.
    SELECT pg_current_snapshot()::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM webhook._flush_wal()
    UNION ALL
    SELECT NULL, c.id, w.url, w.events, w.status, w.filter_config, w.account, webhook._seconds(w.options),
           w.active_since,
           ARRAY(SELECT s.secret FROM webhook.secrets s
                 WHERE s.webhook_id = c.id AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
                 ORDER BY s.created_at DESC),
           (SELECT jsonb_agg(jsonb_build_object('emitter', u.emitter_id, 'event', u.event_name))
            FROM webhook.subscriptions u WHERE u.listener_id = c.id),
           w.failing_since
    FROM (SELECT h.id FROM webhook.webhooks h WHERE p_since IS NULL
          UNION
          SELECT g.webhook_id FROM webhook.changes g
          WHERE p_since IS NOT NULL AND g.xid >= pg_snapshot_xmin(p_since::pg_snapshot)
            AND NOT pg_visible_in_snapshot(g.xid, p_since::pg_snapshot)) c
    LEFT JOIN webhook.webhooks w ON w.id = c.id
$$;
-- Recording outcomes and the cursor, in one transaction.
--
-- An outcome is delivered, failed, retry (an attempt was made), spill (none was made: it waits), hold (in flight for
-- long: a leased pending row lets the cursor pass), or release (leased but not attempted).
-- A write-back under a lease counts only while the lease is still that one; a row that is gone was canceled meanwhile,
-- and the attempt that was on its way is still logged.
CREATE FUNCTION webhook._relay_record(
    p_instance text, p_n bigint, p_window text, p_seq bigint, p_xid bigint, p_ahead bigint,
    p_delivery_ids text[], p_event_ids text[], p_webhook_ids text[], p_keys text[], p_outcomes text[], p_numbers integer[],
    p_tries integer[], p_leases bigint[], p_ages_ms integer[], p_codes integer[], p_times_ms integer[], p_errors text[],
    p_response_headers text[], p_response_bodies bytea[], p_delays_ms bigint[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    at timestamptz := clock_timestamp();
    stale text[] := '{}';
BEGIN
    IF p_n IS NOT NULL THEN
        INSERT INTO webhook.cursors (n, leader, "window", seq, xid, ahead)
        VALUES (p_n + 1, p_instance, p_window, p_seq, p_xid, p_ahead) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = '55006', MESSAGE = format('relay %s does not lead any more', p_instance),
                HINT = 'Another relay took over; what this one has not recorded will be sent by that one.';
        END IF;
    END IF;

    IF EXISTS (SELECT FROM unnest(p_leases) l WHERE l <> 0) THEN
        stale := ARRAY(SELECT l.delivery_id FROM webhook._relay_return(
            at, p_instance, p_delivery_ids, p_outcomes, p_numbers, p_tries, p_leases, p_errors, p_delays_ms) l(delivery_id));
    END IF;

    INSERT INTO webhook.attempts (delivery_id, number, event_id, webhook_id, at, outcome, response_code,
                                  response_time_ms, error, response_headers, response_body)
    SELECT v.delivery_id, v.number, v.event_id, v.webhook_id, at - v.age_ms * interval '1 millisecond', v.outcome,
           v.code, v.time_ms, v.error, v.headers::jsonb, v.body
    FROM unnest(p_delivery_ids, p_numbers, p_event_ids, p_webhook_ids, p_ages_ms, p_outcomes, p_codes, p_times_ms,
                p_errors, p_response_headers, p_response_bodies)
         AS v(delivery_id, number, event_id, webhook_id, age_ms, outcome, code, time_ms, error, headers, body)
    WHERE v.outcome IN ('delivered', 'failed', 'retry') AND v.delivery_id <> ALL (stale)
    ON CONFLICT DO NOTHING;

    IF p_outcomes && '{retry,spill,hold}' THEN
        INSERT INTO webhook.pending (delivery_id, event_id, webhook_id, key, reason, attempts, tries, due_at, lease, leased_by,
                                     ordered, seq)
        SELECT v.delivery_id, v.event_id, v.webhook_id, v.key,
               CASE v.outcome WHEN 'retry' THEN 'retry' WHEN 'hold' THEN 'in_flight' ELSE v.error END,
               CASE v.outcome WHEN 'retry' THEN v.number ELSE v.number - 1 END, v.tries,
               at + v.delay_ms * interval '1 millisecond',
               CASE v.outcome WHEN 'hold' THEN v.lease ELSE 0 END, CASE v.outcome WHEN 'hold' THEN p_instance END,
               v.outcome = 'spill' AND v.error = 'ordered', o.seq
        FROM unnest(p_delivery_ids, p_event_ids, p_webhook_ids, p_keys, p_outcomes, p_numbers, p_tries, p_leases, p_errors,
                    p_delays_ms)
             AS v(delivery_id, event_id, webhook_id, key, outcome, number, tries, lease, error, delay_ms)
        CROSS JOIN LATERAL (SELECT CASE WHEN v.error = 'ordered' THEN (
                                SELECT e.seq FROM webhook.events e WHERE e.id = v.event_id) ELSE 0 END) o(seq)
        WHERE ((v.outcome IN ('retry', 'spill') AND v.lease = 0) OR v.outcome = 'hold')
          AND EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = v.webhook_id)
        -- Each one of a key finds the one before it there (pending_queue); a batch may come in another order.
        ORDER BY o.seq
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN p_n + 1;
END $$;

-- Gives leased rows back as their outcomes say (a failed one of an ordered webhook with on_failed = block stays and blocks its key
-- until it is replayed or canceled); returns those whose lease is no longer ours.
CREATE FUNCTION webhook._relay_return(
    p_at timestamptz, p_instance text, p_delivery_ids text[], p_outcomes text[], p_numbers integer[], p_tries integer[],
    p_leases bigint[], p_errors text[], p_delays_ms bigint[]) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    RETURN QUERY
    WITH back AS MATERIALIZED (
        SELECT v.*, p.lease AS present, v.outcome = 'failed' AND p.ordered AND EXISTS (
                   SELECT FROM webhook.webhooks w WHERE w.id = p.webhook_id AND w.options->>'on_failed' = 'block') AS blocks
        FROM unnest(p_delivery_ids, p_outcomes, p_numbers, p_tries, p_leases, p_errors, p_delays_ms)
             AS v(delivery_id, outcome, number, tries, lease, error, delay_ms)
        JOIN webhook.pending p ON p.delivery_id = v.delivery_id
        WHERE v.lease <> 0
        ORDER BY v.delivery_id
        FOR UPDATE OF p
    ), done AS (
        DELETE FROM webhook.pending p USING back b
        WHERE p.delivery_id = b.delivery_id AND b.present = b.lease AND b.outcome IN ('delivered', 'failed') AND NOT b.blocks
    ), again AS (
        UPDATE webhook.pending p
        SET due_at = CASE WHEN b.blocks THEN 'infinity' ELSE p_at + b.delay_ms * interval '1 millisecond' END, tries = b.tries,
            attempts = CASE WHEN b.outcome IN ('retry', 'failed') THEN b.number ELSE p.attempts END,
            reason = CASE b.outcome WHEN 'retry' THEN 'retry' WHEN 'failed' THEN 'blocked' WHEN 'release' THEN coalesce(b.error, p.reason) ELSE p.reason END,
            -- A one-off request that is tried again holds back no later one to its host.
            ordered = p.ordered AND NOT (b.outcome = 'retry' AND EXISTS (
                SELECT FROM webhook.requests r WHERE r.delivery_id = p.delivery_id)),
            lease = CASE b.outcome WHEN 'hold' THEN p.lease ELSE 0 END,
            leased_by = CASE b.outcome WHEN 'hold' THEN p.leased_by END
        FROM back b
        WHERE p.delivery_id = b.delivery_id AND b.present = b.lease AND (b.blocks OR b.outcome IN ('retry', 'release', 'spill', 'hold'))
    )
    SELECT b.delivery_id FROM back b WHERE b.present <> b.lease;
END $$;

CREATE FUNCTION webhook._relay_recorded(p_delivery_ids text[]) RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT i.id FROM unnest(p_delivery_ids) i(id)
    WHERE EXISTS (SELECT FROM webhook.attempts a WHERE a.delivery_id = i.id)
       OR EXISTS (SELECT FROM webhook.pending p WHERE p.delivery_id = i.id)
$$;
COMMENT ON FUNCTION webhook._relay_recorded(text[]) IS 'Of these deliveries, those that a former leader already recorded.';
-- Claiming what is due from pending, fair across webhooks.
CREATE FUNCTION webhook._relay_claim(
    p_instance text, p_lease bigint, p_lease_ms integer, p_skip text[], p_per_webhook integer, p_total integer,
    p_max_bytes bigint)
    RETURNS TABLE (delivery_id text, webhook_id text, number integer, tries integer, reason text, event_id text, type text,
                   created_at timestamptz, data bytea, previous bytea, key text, source text, url text, options jsonb,
                   next_due_ms bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH RECURSIVE waiting AS (
        -- The webhooks that have pending rows, one index probe each, however deep their backlogs.
        (SELECT p.webhook_id FROM webhook.pending p ORDER BY p.webhook_id LIMIT 1)
        UNION ALL
        SELECT (SELECT p.webhook_id FROM webhook.pending p WHERE p.webhook_id > w.webhook_id ORDER BY p.webhook_id LIMIT 1)
        FROM waiting w WHERE w.webhook_id IS NOT NULL
    ), due AS (
        SELECT d.delivery_id, d.due_at FROM waiting w
        JOIN webhook.webhooks h ON h.id = w.webhook_id AND h.status = 'active' AND h.id <> ALL (p_skip)
        CROSS JOIN LATERAL (
            SELECT p.delivery_id, p.due_at, row_number() OVER (ORDER BY p.due_at) AS place FROM (
                SELECT q.delivery_id, q.due_at FROM webhook.pending q
                WHERE q.webhook_id = w.webhook_id AND q.due_at <= at
                ORDER BY q.due_at LIMIT p_per_webhook FOR UPDATE SKIP LOCKED) p) d
        ORDER BY d.place LIMIT p_total
    ), claimed AS (
        UPDATE webhook.pending p
        SET lease = p_lease, leased_by = p_instance, due_at = at + p_lease_ms * interval '1 millisecond'
        FROM due WHERE p.delivery_id = due.delivery_id
        RETURNING p.*, due.due_at AS was_due
    )
    SELECT c.delivery_id, c.webhook_id, c.attempts + 1, c.tries, c.reason, c.event_id, e.type, e.created_at,
           webhook._bytes(e.data), webhook._bytes(e.previous), c.key, e.source, r.url, webhook._seconds(r.options),
           NULL::bigint
    FROM claimed c LEFT JOIN webhook.events e ON e.id = c.event_id
    LEFT JOIN webhook.requests r ON r.delivery_id = c.delivery_id
    ORDER BY c.was_due, c.delivery_id;

    RETURN QUERY
    SELECT NULL::text, NULL::text, NULL::integer, NULL::integer, NULL::text, NULL::text, NULL::text, NULL::timestamptz,
           NULL::bytea, NULL::bytea, NULL::text, NULL::text, NULL::text, NULL::jsonb, (
        WITH RECURSIVE waiting AS (
            (SELECT p.webhook_id, p.due_at FROM webhook.pending p ORDER BY p.webhook_id, p.due_at LIMIT 1)
            UNION ALL
            SELECT n.webhook_id, n.due_at FROM waiting w CROSS JOIN LATERAL (
                SELECT p.webhook_id, p.due_at FROM webhook.pending p WHERE p.webhook_id > w.webhook_id
                ORDER BY p.webhook_id, p.due_at LIMIT 1) n
        )
        SELECT CASE WHEN min(w.due_at) < 'infinity'
               THEN greatest(0, ceil(extract(epoch FROM min(w.due_at) - clock_timestamp()) * 1000))::bigint END
        FROM waiting w JOIN webhook.webhooks h ON h.id = w.webhook_id AND h.status = 'active'
        WHERE h.id <> ALL (p_skip));
END $$;
COMMENT ON FUNCTION webhook._relay_claim(text, bigint, integer, text[], integer, integer, bigint) IS
    'Leases due deliveries of active webhooks that are not in p_skip (url and options: of a request of webhook_send); then a last row with the milliseconds until the next one is due.';
-- The doorbell: how a relay sleeps without missing a commit. docs/wakeup.md has the proof.

-- Is anybody between looking at the bell and the visibility of its commit?
CREATE FUNCTION webhook._relay_committing() RETURNS boolean
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_locks l
                   WHERE l.locktype = 'relation' AND l.relation = 'webhook.committing'::regclass
                     AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                     AND l.mode = 'RowExclusiveLock')
$$;

CREATE FUNCTION webhook._relay_arm() RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM setval('webhook.bell', 1);
    RETURN webhook._relay_committing();
END $$;

CREATE FUNCTION webhook._relay_disarm() RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT setval('webhook.bell', 0)
$$;
-- What the relay decides about a webhook: failing, disabled; and the operator events that tell of it.

CREATE FUNCTION webhook._relay_failing(p_webhook_id text, p_failing boolean) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    UPDATE webhook.webhooks w SET failing_since = CASE WHEN p_failing THEN clock_timestamp() END
    WHERE w.id = p_webhook_id AND w.host IS NULL AND (w.failing_since IS NOT NULL) <> p_failing
$$;

CREATE FUNCTION webhook._relay_disable(p_webhook_id text, p_reason text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    UPDATE webhook.webhooks w SET status = 'inactive', disabled_reason = p_reason, updated_at = clock_timestamp()
    WHERE w.id = p_webhook_id AND w.host IS NULL AND w.status = 'active';
    RETURN FOUND;
END $$;

CREATE FUNCTION webhook._relay_signal(p_webhook_id text, p_type text, p_data jsonb) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    RETURN webhook._append(p_type, p_data::json, key => p_webhook_id,
                           account => (SELECT w.account FROM webhook.webhooks w WHERE w.id = p_webhook_id));
END $$;
-- Partitions ahead, partitions past retention, and trimming of what the relay leaves behind.

-- Default privileges (ALTER DEFAULT PRIVILEGES ... GRANT SELECT ON TABLES) would open what is made here to others.
CREATE FUNCTION webhook._keep_to_owner(relation regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    other oid;
BEGIN
    FOR other IN SELECT DISTINCT g.grantee FROM pg_class c, aclexplode(c.relacl) g
                 WHERE c.oid = relation AND g.grantee <> c.relowner LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', relation,
                       CASE other WHEN 0 THEN 'PUBLIC' ELSE other::regrole::text END);
    END LOOP;
END $$;

-- Creates the partition of one day; rows of that day that wait in the default partition move into it. While they move
-- nobody is held up; the default partition is locked for ATTACH PARTITION alone, which finds by its check that the rows are
-- the day's. Rows of a past day, and nobody adds to those, may be any number; of a day to come only a few are moved (false:
-- it is left until it is past), as there the lock comes first.
CREATE FUNCTION webhook._create_partition(parent text, prefix text, id_column text, day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    few CONSTANT integer := 10000;
    part text := parent || '_' || to_char(day, 'YYYYMMDD');
    lower text := webhook._id_floor(prefix, day::timestamp AT TIME ZONE 'UTC');
    upper text := webhook._id_floor(prefix, (day + 1)::timestamp AT TIME ZONE 'UTC');
    of_the_day text := format('%I >= %L AND %I < %L', id_column, lower, id_column, upper);
    many boolean;
BEGIN
    IF to_regclass('webhook.' || part) IS NOT NULL THEN RETURN false; END IF;
    IF day >= (clock_timestamp() AT TIME ZONE 'UTC')::date THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM webhook.%I WHERE %s OFFSET %s)', parent || '_default', of_the_day, few) INTO many;
        IF many THEN RETURN false; END IF;
        EXECUTE format('LOCK TABLE webhook.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
    END IF;
    EXECUTE format('CREATE TABLE webhook.%I (LIKE webhook.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES, CONSTRAINT of_the_day CHECK (%s))',
                   part, parent || '_default', of_the_day);
    PERFORM webhook._keep_to_owner(format('webhook.%I', part)::regclass);
    EXECUTE format('WITH moved AS (DELETE FROM webhook.%I WHERE %s RETURNING *) INSERT INTO webhook.%I SELECT * FROM moved',
                   parent || '_default', of_the_day, part);
    EXECUTE format('ALTER TABLE webhook.%I ATTACH PARTITION webhook.%I FOR VALUES FROM (%L) TO (%L)', parent, part, lower, upper);
    EXECUTE format('ALTER TABLE webhook.%I DROP CONSTRAINT of_the_day', part);
    RETURN true;
END $$;

-- Past days of which the default partitions hold rows, the oldest first: what came while nobody made partitions.
CREATE FUNCTION webhook._days_in_default() RETURNS SETOF date
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    WITH RECURSIVE days(day) AS (
        SELECT webhook._id_day(least('del' || substr((SELECT min(id) FROM webhook.events_default), 4),
                                     (SELECT min(delivery_id) FROM webhook.attempts_default)))
        UNION ALL
        SELECT webhook._id_day(least(
            'del' || substr((SELECT min(id) FROM webhook.events_default e
                             WHERE e.id >= webhook._id_floor('evt', (d.day + 1)::timestamp AT TIME ZONE 'UTC')), 4),
            (SELECT min(delivery_id) FROM webhook.attempts_default a
             WHERE a.delivery_id >= webhook._id_floor('del', (d.day + 1)::timestamp AT TIME ZONE 'UTC'))))
        FROM days d WHERE d.day IS NOT NULL
    )
    SELECT d.day FROM days d WHERE d.day < (clock_timestamp() AT TIME ZONE 'UTC')::date
$$;

CREATE FUNCTION webhook._id_day(id text) RETURNS date
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT (webhook._id_time(id) AT TIME ZONE 'UTC')::date
$$;

-- Drops a day's partitions when it is past retention and nothing unread or pending lies in it.
CREATE FUNCTION webhook._drop_day(day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    events regclass := to_regclass('webhook.events_' || to_char(day, 'YYYYMMDD'));
    attempts regclass := to_regclass('webhook.attempts_' || to_char(day, 'YYYYMMDD'));
    read_to bigint;
    last_seq bigint;
BEGIN
    IF EXISTS (SELECT FROM webhook.pending p
               WHERE p.event_id >= webhook._id_floor('evt', day::timestamp AT TIME ZONE 'UTC')
                 AND p.event_id < webhook._id_floor('evt', (day + 1)::timestamp AT TIME ZONE 'UTC')) THEN
        RETURN false;
    END IF;
    IF events IS NOT NULL THEN
        SELECT least((c."window"::jsonb->>'floor')::bigint,
                     (SELECT min((o->>1)::bigint) FROM jsonb_array_elements(c."window"::jsonb->'old') o))
        INTO read_to FROM webhook.cursors c ORDER BY c.n DESC LIMIT 1;
        EXECUTE format('SELECT max(seq) FROM %s WHERE epoch = webhook._epoch()', events) INTO last_seq;
        IF last_seq >= coalesce(read_to, 0) THEN RETURN false; END IF;
        EXECUTE format('DROP TABLE %s', events);
    END IF;
    IF attempts IS NOT NULL THEN EXECUTE format('DROP TABLE %s', attempts); END IF;
    RETURN true;
END $$;

CREATE FUNCTION webhook._relay_maintain() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp SET lock_timeout = '250ms' AS $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    oldest date := ((clock_timestamp() - webhook._retention()) AT TIME ZONE 'UTC')::date;
    day date;
    created integer := 0;
    dropped integer := 0;
    busy integer := 0;
BEGIN
    -- A past day one at a time, and not while the default partition is written to: its lock stays until we commit.
    FOR day IN SELECT generate_series(today, today + 2, interval '1 day')::date
               UNION ALL
               (SELECT d FROM webhook._days_in_default() d
                WHERE to_regclass('webhook.events_' || to_char(today, 'YYYYMMDD')) IS NOT NULL LIMIT 1) LOOP
        BEGIN
            created := created + webhook._create_partition('events', 'evt', 'id', day)::integer
                               + webhook._create_partition('attempts', 'del', 'delivery_id', day)::integer;
        EXCEPTION WHEN lock_not_available THEN busy := busy + 1;
        END;
    END LOOP;
    FOR day IN
        SELECT DISTINCT substring(c.relname FROM '^(?:events|attempts)_([0-9]{8})$')::date
        FROM pg_class c WHERE c.relnamespace = 'webhook'::regnamespace AND c.relname ~ '^(events|attempts)_[0-9]{8}$'
          AND substring(c.relname FROM '([0-9]{8})$')::date < oldest
        ORDER BY 1
    LOOP
        BEGIN
            dropped := dropped + webhook._drop_day(day)::integer;
        EXCEPTION WHEN lock_not_available THEN busy := busy + 1;
        END;
    END LOOP;
    DELETE FROM webhook.cursors c WHERE c.n < (SELECT max(k.n) - 100 FROM webhook.cursors k);
    PERFORM webhook._tidy_sources();
    DELETE FROM webhook.requests r WHERE r.delivery_id < webhook._id_floor('del', clock_timestamp() - webhook._retention())
        AND NOT EXISTS (SELECT FROM webhook.pending p WHERE p.delivery_id = r.delivery_id);
    DELETE FROM webhook.losses l WHERE l.at < clock_timestamp() - webhook._retention();
    DELETE FROM webhook.idempotency i WHERE i.created_at < clock_timestamp() - interval '24 hours';
    DELETE FROM webhook.secrets s WHERE s.expires_at < clock_timestamp();
    -- A relay that was away for longer than this reloads everything anyway.
    DELETE FROM webhook.changes c WHERE c.at < clock_timestamp() - interval '1 hour';
    RETURN format('%s partitions created, %s days dropped, %s left for later because they were locked', created, dropped, busy);
END $$;
COMMENT ON FUNCTION webhook._relay_maintain() IS
    'Creates partitions for today and two days ahead, and of one past day that lies in the default ones, drops days past webhook.retention that nobody needs, trims cursors, idempotency keys and expired secrets. Waits at most 250 ms for a lock: writers queue behind it.';

-- Nobody but the owner has anything, also where default privileges say otherwise; webhook_grant gives capabilities.
SELECT webhook._keep_to_owner(c.oid) FROM pg_class c
WHERE c.relnamespace = 'webhook'::regnamespace
  AND c.relkind = ANY ('{r,p,v,S}'::"char"[]);
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('REVOKE ALL ON FUNCTION %s FROM %s', p.oid::regprocedure,
                                 CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END)
        FROM pg_proc p
        JOIN pg_depend d ON d.classid = 'pg_proc'::regclass
             AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass
             AND d.refobjid = x.oid AND x.extname = 'pg_webhook'
        CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
        WHERE g.grantee <> p.proowner
        UNION
        SELECT format('REVOKE ALL ON SCHEMA webhook FROM %s', g.grantee::regrole)
        FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) g
        WHERE n.nspname = 'webhook' AND g.grantee <> n.nspowner
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
-- What pg_dump keeps: without these lines an extension's rows are silently not in backups.
SELECT pg_catalog.pg_extension_config_dump('webhook.webhooks', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.secrets', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.sources', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.subscriptions', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.losses', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.event_types', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('webhook.events_default', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.idempotency', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.attempts_default', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.pending', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.requests', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.cursors', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.identity', '');
