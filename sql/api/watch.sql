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
        SELECT CASE op WHEN 'insert' THEN 'created' WHEN 'update' THEN 'updated' WHEN 'delete' THEN 'deleted' ELSE 'truncated' END
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
    FOREACH operation IN ARRAY ARRAY['insert', 'update', 'delete', 'truncate'] LOOP
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
        IF operation = 'truncate' AND s.condition IS NOT NULL THEN
            PERFORM webhook._invalid(
                format('when "%s" is about a row, and TRUNCATE has none', s.condition),
                'Watch truncate under another resource, without a condition.');
        ELSIF s.condition IS NOT NULL AND condition IS NULL THEN
            PERFORM webhook._invalid(
                format('when "%s" compares OLD and NEW, which %s does not have', s.condition, upper(operation)),
                'Watch updates alone with it: operations => ''{update}''. Another watch, under another resource, can have the rest.');
        END IF;
        statements := statements || format(
            'CREATE TRIGGER %I AFTER %s ON %s FOR EACH %s %s EXECUTE FUNCTION @extschema@.webhook_capture(%L, %L)',
            webhook._trigger_name(s.resource, operation), operation, s.relation,
            CASE operation WHEN 'truncate' THEN 'STATEMENT' ELSE 'ROW' END,
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
    'From now on every changed row of the table is an event <resource>.created, .updated or .deleted; with truncate among the operations TRUNCATE is one too, <resource>.truncated, without data. Called again for the same table and resource it replaces the options. Returns the source id. Errors: 22023, 42501, 42809.';

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

