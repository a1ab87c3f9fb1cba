-- The trigger function and what it asks once per session and table.
CREATE FUNCTION webhook_capture() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'webhook_capture';
COMMENT ON FUNCTION webhook_capture() IS
    'AFTER ROW trigger: appends an event per changed row; as an AFTER TRUNCATE trigger, one of a statement, an event without data. Arguments: the resource, and the source id when webhook_watch made it. By hand: CREATE TRIGGER ... AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION webhook_capture(''user'').';

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

-- The event type of a truncated table. A trigger made by hand has no source.
CREATE FUNCTION webhook._truncate_type(p_resource text, p_source text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT p_resource || '.' || coalesce((SELECT s.names->>'truncate' FROM webhook.sources s WHERE s.id = p_source), 'truncated')
$$;

CREATE FUNCTION webhook._lost(p_source text, p_error text) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, webhook, pg_temp AS $$
    INSERT INTO webhook.losses (source_id, error) VALUES (p_source, p_error)
$$;

CREATE FUNCTION webhook._forget_plans(relation regclass) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', '_forget_plans_wrapper';
COMMENT ON FUNCTION webhook._forget_plans(regclass) IS
    'Makes every session rebuild its capture plan of this table once this transaction commits.';
