-- Recording outcomes and the cursor, in one transaction.
--
-- An outcome is delivered, failed, retry (an attempt was made), spill (none was made: it waits), hold (in flight for
-- long: a leased pending row lets the cursor pass), or release (leased but not attempted).
-- A write-back under a lease counts only while the lease is still that one; a row that is gone was canceled meanwhile,
-- and the attempt that was on its way is still logged. So is each of two that were on their way at once, as when what the relay
-- is sending is replayed: both have the number that came next when they began, and the later one gets the next.
-- No lock is waited for that a user's transaction may hold for as long as it likes: what it keeps from being recorded is returned as
-- `locked`, by its places in the arrays, and all else is recorded.
CREATE FUNCTION webhook._relay_record(
    p_instance text, p_n bigint, p_window text, p_seq bigint, p_xid bigint, p_ahead bigint,
    p_delivery_ids text[], p_event_ids text[], p_webhook_ids text[], p_keys text[], p_outcomes text[], p_numbers integer[],
    p_tries integer[], p_leases bigint[], p_ages_ms integer[], p_codes integer[], p_times_ms integer[], p_errors text[],
    p_response_headers text[], p_response_bodies bytea[], p_delays_ms bigint[], OUT n bigint, OUT locked bigint[])
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp
    -- One plan for good, along the indexes: planned for each batch's arrays, a leased delivery takes twice the time.
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    at timestamptz := clock_timestamp();
    stale bigint[] := '{}';
    is_logged boolean[];
    logged bigint;
BEGIN
    n := p_n + 1;
    locked := '{}';
    IF p_n IS NOT NULL THEN
        INSERT INTO webhook.cursors (n, leader, "window", seq, xid, ahead)
        SELECT p_n + 1, p_instance, p_window, p_seq, p_xid, p_ahead FROM webhook.term t
        WHERE t.last_value = (p_window::jsonb->>'term')::bigint
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = '55006', MESSAGE = format('relay %s does not lead any more', p_instance),
                HINT = 'Another relay took over; what this one has not recorded will be sent by that one.';
        END IF;
    END IF;

    IF EXISTS (SELECT FROM unnest(p_leases) l WHERE l <> 0) THEN
        SELECT * INTO stale, locked FROM webhook._relay_return(
            at, p_instance, p_delivery_ids, p_outcomes, p_numbers, p_tries, p_leases, p_ages_ms, p_errors, p_delays_ms);
    END IF;

    is_logged := ARRAY(SELECT v.outcome IN ('delivered', 'failed', 'retry') AND v.place <> ALL (stale || locked)
                       FROM unnest(p_outcomes) WITH ORDINALITY v(outcome, place));
    INSERT INTO webhook.attempts (delivery_id, number, event_id, webhook_id, at, outcome, response_code,
                                  response_time_ms, error, response_headers, response_body)
    SELECT v.delivery_id, v.number, v.event_id, v.webhook_id, at - v.age_ms * interval '1 millisecond', v.outcome,
           v.code, v.time_ms, v.error, v.headers::jsonb, v.body
    FROM unnest(p_delivery_ids, p_numbers, p_event_ids, p_webhook_ids, p_ages_ms, p_outcomes, p_codes, p_times_ms,
                p_errors, p_response_headers, p_response_bodies, is_logged)
         AS v(delivery_id, number, event_id, webhook_id, age_ms, outcome, code, time_ms, error, headers, body, is_logged)
    WHERE v.is_logged
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS logged = ROW_COUNT;
    IF logged < cardinality(array_positions(is_logged, true)) THEN
        INSERT INTO webhook.attempts (delivery_id, number, event_id, webhook_id, at, outcome, response_code,
                                      response_time_ms, error, response_headers, response_body)
        SELECT v.delivery_id, (SELECT max(a.number) + 1 FROM webhook.attempts a WHERE a.delivery_id = v.delivery_id), v.event_id,
               v.webhook_id, v.at, v.outcome, v.code, v.time_ms, v.error, v.headers::jsonb, v.body
        FROM (SELECT u.*, at - u.age_ms * interval '1 millisecond' AS at
              FROM unnest(p_delivery_ids, p_event_ids, p_webhook_ids, p_leases, p_ages_ms, p_outcomes, p_codes, p_times_ms, p_errors,
                          p_response_headers, p_response_bodies, is_logged)
                   AS u(delivery_id, event_id, webhook_id, lease, age_ms, outcome, code, time_ms, error, headers, body, is_logged)
              -- Under a lease that has ended by another's success a failure means nothing any more.
              WHERE u.is_logged AND (u.outcome = 'delivered' OR u.lease = 0)) v
        -- Logged just now, or when this relay recorded it before and did not hear that it had.
        WHERE NOT EXISTS (
            SELECT FROM webhook.attempts a
            WHERE a.delivery_id = v.delivery_id AND a.outcome = v.outcome AND a.response_time_ms IS NOT DISTINCT FROM v.time_ms
              AND a.response_code IS NOT DISTINCT FROM v.code AND a.at BETWEEN v.at - interval '1 second' AND v.at + interval '1 second')
        ON CONFLICT DO NOTHING;
    END IF;

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
END $$;

-- Gives leased rows back as their outcomes say (a failed one of an ordered webhook with on_failed = block stays and blocks its key
-- until it is replayed or canceled). Returns the places of those whose lease is no longer ours, or never was here (stale), and of those
-- that cannot be given back now (locked): somebody has locked the row, or the next one of its key, which its going makes due.
CREATE FUNCTION webhook._relay_return(
    p_at timestamptz, p_instance text, p_delivery_ids text[], p_outcomes text[], p_numbers integer[], p_tries integer[],
    p_leases bigint[], p_ages_ms integer[], p_errors text[], p_delays_ms bigint[], OUT stale bigint[], OUT locked bigint[])
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    found bigint[];
    gone bigint[];
BEGIN
    WITH held AS MATERIALIZED (
        SELECT v.*, p.lease AS present, p.webhook_id, p.key, p.seq, p.ordered,
               v.outcome = 'failed' AND p.ordered AND EXISTS (
                   SELECT FROM webhook.webhooks w WHERE w.id = p.webhook_id AND w.options->>'on_failed' = 'block') AS blocks,
               -- A one-off request that is tried again holds back no later one to its host.
               v.outcome = 'retry' AND p.ordered AND EXISTS (
                   SELECT FROM webhook.requests r WHERE r.delivery_id = p.delivery_id) AS steps_aside
        FROM unnest(p_delivery_ids, p_outcomes, p_numbers, p_tries, p_leases, p_errors, p_delays_ms) WITH ORDINALITY
             AS v(delivery_id, outcome, number, tries, lease, error, delay_ms, place)
        JOIN webhook.pending p ON p.delivery_id = v.delivery_id
        WHERE v.lease <> 0
        ORDER BY v.delivery_id
        FOR UPDATE OF p SKIP LOCKED
    ), next AS MATERIALIZED (
        SELECT h.place, n.delivery_id
        FROM held h CROSS JOIN LATERAL (
            SELECT p.delivery_id FROM webhook.pending p
            WHERE p.ordered AND p.webhook_id = h.webhook_id AND p.key = h.key AND p.seq > h.seq
            ORDER BY p.seq LIMIT 1) n
        WHERE h.ordered AND h.present = h.lease AND (h.steps_aside OR h.outcome IN ('delivered', 'failed') AND NOT h.blocks)
    ), free AS MATERIALIZED (
        SELECT n.place FROM next n JOIN webhook.pending p ON p.delivery_id = n.delivery_id
        ORDER BY n.delivery_id
        FOR NO KEY UPDATE OF p SKIP LOCKED
    ), waiting AS (
        SELECT n.place FROM next n WHERE n.place NOT IN (SELECT f.place FROM free f)
    ), back AS MATERIALIZED (
        SELECT h.* FROM held h WHERE h.present = h.lease AND h.place NOT IN (SELECT w.place FROM waiting w)
    ), done AS (
        DELETE FROM webhook.pending p USING back b
        WHERE p.delivery_id = b.delivery_id AND b.outcome IN ('delivered', 'failed') AND NOT b.blocks
    ), again AS (
        UPDATE webhook.pending p
        SET due_at = CASE WHEN b.blocks THEN 'infinity' ELSE p_at + b.delay_ms * interval '1 millisecond' END, tries = b.tries,
            attempts = CASE WHEN b.outcome IN ('retry', 'failed') THEN b.number ELSE p.attempts END,
            reason = CASE b.outcome WHEN 'retry' THEN 'retry' WHEN 'failed' THEN 'blocked' WHEN 'release' THEN coalesce(b.error, p.reason) ELSE p.reason END,
            ordered = p.ordered AND NOT b.steps_aside,
            lease = CASE b.outcome WHEN 'hold' THEN p.lease ELSE 0 END,
            leased_by = CASE b.outcome WHEN 'hold' THEN p.leased_by END
        FROM back b
        WHERE p.delivery_id = b.delivery_id AND (b.blocks OR b.outcome IN ('retry', 'release', 'spill', 'hold'))
    ), kept AS (
        -- Nobody is to send it once more meanwhile: who has its outcome comes again, and much sooner.
        UPDATE webhook.pending p SET due_at = greatest(p.due_at, p_at + interval '30 seconds')
        FROM held h JOIN waiting w ON w.place = h.place WHERE p.delivery_id = h.delivery_id
    )
    SELECT coalesce(array_agg(h.place) FILTER (WHERE h.present <> h.lease), '{}'),
           coalesce(array_agg(h.place) FILTER (WHERE h.place IN (SELECT w.place FROM waiting w)), '{}'),
           coalesce(array_agg(h.place) FILTER (WHERE h.outcome <> 'hold'), '{}')
    INTO stale, locked, found FROM held h;

    IF cardinality(found) < (SELECT count(*) FROM unnest(p_outcomes, p_leases) v(outcome, lease)
                             WHERE v.lease <> 0 AND v.outcome <> 'hold') THEN
        SELECT locked || coalesce(array_agg(m.place) FILTER (WHERE m.is_there), '{}'),
               coalesce(array_agg(m.place) FILTER (WHERE NOT m.is_there), '{}')
        INTO locked, gone
        FROM (SELECT v.place, EXISTS (SELECT FROM webhook.pending p WHERE p.delivery_id = v.delivery_id) AS is_there
              FROM unnest(p_delivery_ids, p_outcomes, p_leases) WITH ORDINALITY v(delivery_id, outcome, lease, place)
              WHERE v.lease <> 0 AND v.outcome <> 'hold' AND v.place <> ALL (found)) m;
        -- The log is looked at for these alone: who reads a table before writing to it deadlocks with REINDEX.
        IF gone <> '{}' THEN
            -- Neither pending nor canceled nor ever attempted: claimed on a server whose standby, which is where we are, never heard of the claim.
            -- Or claimed there and here, and delivered meanwhile: then a failure means nothing any more.
            stale := stale || ARRAY(
                SELECT g.place FROM unnest(gone) g(place)
                WHERE NOT EXISTS (SELECT FROM webhook.attempts a WHERE a.delivery_id = p_delivery_ids[g.place])
                   OR p_outcomes[g.place] <> 'delivered' AND EXISTS (
                       SELECT FROM webhook.attempts a WHERE a.delivery_id = p_delivery_ids[g.place] AND a.outcome = 'delivered'
                         AND a.at >= p_at - p_ages_ms[g.place] * interval '1 millisecond'));
        END IF;
    END IF;
END $$;

CREATE FUNCTION webhook._relay_recorded(p_delivery_ids text[]) RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT i.id FROM unnest(p_delivery_ids) i(id)
    WHERE EXISTS (SELECT FROM webhook.attempts a WHERE a.delivery_id = i.id)
       OR EXISTS (SELECT FROM webhook.pending p WHERE p.delivery_id = i.id)
$$;
COMMENT ON FUNCTION webhook._relay_recorded(text[]) IS 'Of these deliveries, those that a former leader already recorded.';
