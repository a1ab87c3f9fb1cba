-- What the generator did, written in the very transactions that did it: what is rolled back is not here either.
CREATE SCHEMA chaos;
CREATE SEQUENCE chaos.counter;
CREATE TABLE chaos.thing (id int PRIMARY KEY DEFAULT nextval('chaos.counter'), version int NOT NULL DEFAULT 1, text text);

-- Changes of watched rows; each must have become an event.
CREATE TABLE chaos.did (xid xid8 NOT NULL, type text NOT NULL, thing int NOT NULL, version int NOT NULL);
-- Calls of webhook_emit and what they returned; turn counts the emits of a key in the order of their commits.
CREATE TABLE chaos.said (xid xid8 NOT NULL, event_id text NOT NULL, key text, turn int, idempotency_key text);
-- What each transaction saw last: a webhook that it saw is older than its commit.
CREATE TABLE chaos.tx (xid xid8 PRIMARY KEY, seen pg_snapshot NOT NULL, name bigint NOT NULL UNIQUE);
-- What each webhook wanted, from which transaction on.
CREATE TABLE chaos.version (
    webhook_id text NOT NULL, n int NOT NULL DEFAULT nextval('chaos.counter'), xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    keeps boolean NOT NULL, since timestamptz NOT NULL, types text[] NOT NULL, ordered boolean NOT NULL);
CREATE TABLE chaos.secret (webhook_id text NOT NULL, secret text NOT NULL);
CREATE TABLE chaos.replayed (delivery_id text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());

CREATE TABLE chaos.canceled (delivery_id text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
-- Commits that were acknowledged and must not be lost.
CREATE TABLE chaos.acknowledged (name bigint NOT NULL);
-- What only the former primary knows: events, webhooks with changes, and replays, of which a failure may have been logged here.
CREATE TABLE chaos.undone_event (event_id text NOT NULL);
CREATE TABLE chaos.undone_version (webhook_id text NOT NULL);
CREATE TABLE chaos.undone_replay (delivery_id text NOT NULL);
CREATE TABLE chaos.undone_cancel (delivery_id text NOT NULL);

-- What the receiver saw, and what was done to it all; written when it is over.
CREATE TABLE chaos.arrived (
    n int PRIMARY KEY, at timestamptz NOT NULL, signed_at timestamptz NOT NULL,
    delivery_id text COLLATE "C" NOT NULL, event_id text COLLATE "C" NOT NULL, webhook_id text COLLATE "C" NOT NULL,
    path text NOT NULL, is_valid boolean NOT NULL, body jsonb NOT NULL);
CREATE TABLE chaos.fault (name text NOT NULL, began timestamptz NOT NULL, ended timestamptz NOT NULL);

-- Notes what a webhook wants as of this transaction; call it after each change.
CREATE FUNCTION chaos.note_version(webhook text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO chaos.version (webhook_id, keeps, since, types, ordered)
    SELECT w.id, w.status = 'active' OR coalesce((w.options->>'keep_backlog')::boolean, false), w.active_since, w.events,
           coalesce((w.options->>'ordered')::boolean, false)
    FROM webhook.webhooks w WHERE w.id = webhook
$$;
CREATE FUNCTION chaos.create_webhook(url text, types text[], options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE w webhook._webhook;
BEGIN
    w := webhook_create(url, types, options => options || jsonb_build_object(
        'timeout_ms', 1500, 'retry_schedule', (SELECT jsonb_agg('1 second'::text) FROM generate_series(1, 60))));
    INSERT INTO chaos.secret VALUES (w.id, w.secret);
    PERFORM chaos.note_version(w.id);
    RETURN w.id;
END $$;
CREATE FUNCTION chaos.update_webhook(webhook text, changes jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM webhook_update(webhook, changes);
    PERFORM chaos.note_version(webhook);
END $$;
-- Of the webhooks at that path any.
CREATE FUNCTION chaos.delete_webhook(path text) RETURNS void LANGUAGE sql AS $$
    WITH gone AS MATERIALIZED (
        SELECT w.id, webhook_delete(w.id) FROM (SELECT h.id FROM webhook.webhooks h WHERE h.url LIKE '%' || path ORDER BY random() LIMIT 1) w)
    INSERT INTO chaos.version (webhook_id, keeps, since, types, ordered)
    SELECT DISTINCT ON (v.webhook_id) v.webhook_id, false, v.since, '{}'::text[], v.ordered FROM chaos.version v JOIN gone g ON g.id = v.webhook_id
$$;
CREATE FUNCTION chaos.cancel() RETURNS void LANGUAGE sql AS $$
    INSERT INTO chaos.canceled SELECT p.delivery_id FROM (SELECT delivery_id FROM webhook.pending ORDER BY random() LIMIT 3) p WHERE webhook_cancel(p.delivery_id)
$$;
CREATE FUNCTION chaos.rotate(webhook text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO chaos.secret SELECT webhook, r.secret FROM webhook_rotate_secret(webhook, grace => '1 hour') r
$$;
CREATE FUNCTION chaos.replay(delivery text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO chaos.replayed SELECT webhook_replay(delivery)
$$;
CREATE FUNCTION chaos.replay_all(webhook text, status text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM webhook_replay(webhook, now() - interval '2 seconds', status => status);
    INSERT INTO chaos.replayed SELECT p.delivery_id FROM webhook.pending p WHERE p.webhook_id = webhook AND p.reason = 'replay';
END $$;

-- The generator's steps.
CREATE FUNCTION chaos.insert_thing() RETURNS void LANGUAGE sql AS $$
    WITH t AS (INSERT INTO chaos.thing (text) VALUES (repeat('ä"', (random() * 40)::int)) RETURNING id, version)
    INSERT INTO chaos.did SELECT pg_current_xact_id(), 'thing.created', id, version FROM t
$$;
CREATE FUNCTION chaos.update_thing(pick float) RETURNS void LANGUAGE sql AS $$
    WITH t AS (UPDATE chaos.thing SET version = version + 1
               WHERE id = (SELECT id FROM chaos.thing ORDER BY id OFFSET floor(pick * (SELECT count(*) FROM chaos.thing)) LIMIT 1)
               RETURNING id, version)
    INSERT INTO chaos.did SELECT pg_current_xact_id(), 'thing.updated', id, version FROM t
$$;
CREATE FUNCTION chaos.delete_thing(pick float) RETURNS void LANGUAGE sql AS $$
    WITH t AS (DELETE FROM chaos.thing
               WHERE id = (SELECT id FROM chaos.thing ORDER BY id OFFSET floor(pick * (SELECT count(*) FROM chaos.thing)) LIMIT 1)
               RETURNING id, version)
    INSERT INTO chaos.did SELECT pg_current_xact_id(), 'thing.deleted', id, version FROM t
$$;
-- Emits with a key take turns, so that their order is that of their commits.
CREATE FUNCTION chaos.emit(key text, idempotency_key text, due_in interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE turn int;
BEGIN
    IF key IS NOT NULL THEN PERFORM pg_advisory_xact_lock(1, hashtext(key)); END IF;
    turn := nextval('chaos.counter');
    INSERT INTO chaos.said VALUES (pg_current_xact_id(), webhook_emit(
        'note.said', jsonb_build_object('turn', turn, 'text', repeat('x', (random() * 200)::int)), key => key,
        idempotency_key => idempotency_key, deliver_at => clock_timestamp() + due_in), key, turn, idempotency_key);
END $$;
CREATE FUNCTION chaos.seen(name bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO chaos.tx VALUES (pg_current_xact_id(), pg_current_snapshot(), name)
$$;

-- After a failover: what the former primary knows, and what of that never happened.
CREATE FUNCTION chaos.known() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(k.name, coalesce(k.all_, '[]')) FROM (
        SELECT 'events', (SELECT jsonb_agg(e.id) FROM webhook.events e)
        UNION ALL SELECT 'secrets', (SELECT jsonb_agg(s) FROM chaos.secret s)
        UNION ALL SELECT 'replays', (SELECT jsonb_agg(r) FROM chaos.replayed r)
        UNION ALL SELECT 'versions', (SELECT jsonb_agg(v) FROM chaos.version v)
        UNION ALL SELECT 'cancels', (SELECT jsonb_agg(t.delivery_id) FROM webhook.attempts t WHERE t.number = 0)) k(name, all_)
$$;
CREATE FUNCTION chaos.undo(known jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO chaos.undone_event SELECT jsonb_array_elements_text(known->'events') EXCEPT SELECT e.id FROM webhook.events e;
    INSERT INTO chaos.undone_version SELECT v.webhook_id FROM (
        SELECT webhook_id, xid, since FROM jsonb_populate_recordset(NULL::chaos.version, known->'versions')
        EXCEPT SELECT webhook_id, xid, since FROM chaos.version) v;
    INSERT INTO chaos.secret SELECT * FROM jsonb_populate_recordset(NULL::chaos.secret, known->'secrets') EXCEPT SELECT * FROM chaos.secret;
    WITH undone AS (
        INSERT INTO chaos.replayed SELECT * FROM jsonb_populate_recordset(NULL::chaos.replayed, known->'replays') EXCEPT SELECT * FROM chaos.replayed
        RETURNING delivery_id)
    INSERT INTO chaos.undone_replay SELECT delivery_id FROM undone;
    INSERT INTO chaos.undone_cancel SELECT jsonb_array_elements_text(known->'cancels')
    EXCEPT SELECT t.delivery_id FROM webhook.attempts t WHERE t.number = 0;
$$;
