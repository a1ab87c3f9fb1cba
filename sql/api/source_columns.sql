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
