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
