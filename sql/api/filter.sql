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
