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
        PERFORM webhook._invalid('operations is empty', 'Give some of insert, update, delete, truncate.');
    END IF;
    FOREACH word IN ARRAY operations LOOP
        IF word IS NULL OR word NOT IN ('insert', 'update', 'delete', 'truncate') THEN
            PERFORM webhook._invalid(format('operation "%s" is unknown', word), 'Operations are insert, update, delete and truncate.');
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
    s.operations := ARRAY(SELECT o FROM unnest('{insert,update,delete,truncate}'::text[]) o WHERE o = ANY (operations));
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
        IF entry.key NOT IN ('insert', 'update', 'delete', 'truncate') THEN
            PERFORM webhook._invalid(format('names has the unknown operation "%s"', entry.key),
                                     'Operations are insert, update, delete and truncate.');
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
