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

-- Triggers of a watched table without which it captures nothing, or less: dropped, or disabled for ordinary sessions.
CREATE FUNCTION webhook._silenced(s webhook.sources) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT array_agg(c.relation::regclass || ' ' || n.name ORDER BY c.relation::regclass::text, n.name)
    FROM (SELECT s.relation::oid AS relation WHERE s.kind = 'table'
          UNION SELECT p.relid FROM pg_partition_tree(CASE s.kind WHEN 'table' THEN s.relation END) p) c
    JOIN pg_class r ON r.oid = c.relation
    CROSS JOIN unnest(s.operations) o(operation)
    CROSS JOIN LATERAL (SELECT webhook._trigger_name(s.resource, o.operation) AS name) n
    LEFT JOIN pg_trigger t ON t.tgrelid = c.relation AND t.tgname = n.name
    WHERE (t.tgenabled IS NULL OR t.tgenabled NOT IN ('O', 'A'))
      -- One of a statement is not handed down to partitions.
      AND (o.operation <> 'truncate' OR c.relation = s.relation)
$$;
COMMENT ON FUNCTION webhook._silenced(webhook.sources) IS
    'The triggers of a watched table and its partitions that are disabled (also with ENABLE REPLICA) or were dropped, as "table trigger"; NULL when there are none.';

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
        || coalesce(' BROKEN, disabled or dropped: ' || array_to_string(webhook._silenced(s), ', ')
                    || '; enable these triggers, or call webhook_watch again.', '')
    END
$$;

CREATE FUNCTION webhook_sources()
    RETURNS TABLE (id text, kind text, name text, resource text, operations text[], columns text[], exclude text[],
                   status text, event_types text[], description text, created_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT s.id, s.kind, coalesce((SELECT c.oid::regclass::text FROM pg_class c WHERE c.oid = s.relation), s.name),
           s.resource, s.operations, s.columns, s.exclude,
           CASE WHEN webhook._silenced(s) IS NULL THEN s.status ELSE 'silenced' END,
           ARRAY(SELECT t FROM webhook._source_types(s) t ORDER BY t), webhook._source_words(s), s.created_at
    FROM webhook.sources h CROSS JOIN LATERAL webhook._source_now(h) s ORDER BY s.id
$$;
COMMENT ON FUNCTION webhook_sources() IS
    'What emits events: watched tables and named emitters, and what each does in words. Status: active, paused, or silenced when somebody disabled or dropped a trigger of it.';
