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
