-- A session that has set webhook.account reads and manages the webhooks, events and deliveries of that account alone:
-- the functions ask _account(), direct reads of the tables go through policies.

-- Whether the session's user is a superuser, whoever the present function runs as.
CREATE FUNCTION webhook._is_superuser() RETURNS boolean
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', '_is_superuser_wrapper';

-- The account of the session; empty: all of them. As with row security, superusers are not held to it.
CREATE FUNCTION webhook._account() RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE WHEN webhook._is_superuser() THEN '' ELSE coalesce(current_setting('webhook.account', true), '') END
$$;

CREATE FUNCTION webhook._check_account(account text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    IF webhook._account() <> '' AND webhook._account() IS DISTINCT FROM account THEN
        RAISE EXCEPTION USING ERRCODE = '42501',
            MESSAGE = format('account %s is not that of this session', coalesce(to_json(account)::text, 'NULL')),
            HINT = format('webhook.account is %s here; RESET webhook.account to manage other accounts.', to_json(webhook._account()));
    END IF;
END $$;

-- Whether the session may see a webhook.
CREATE FUNCTION webhook._is_mine(p_webhook_id text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT webhook._account() = ''
        OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = p_webhook_id AND w.account = webhook._account())
$$;

-- Whether it is a request of webhook_send, of the session's account, that no relay has recorded yet: its event says so.
CREATE FUNCTION webhook._is_queued(p_delivery_id text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM webhook.requests r CROSS JOIN LATERAL webhook._id_time(r.delivery_id) i(at) JOIN webhook.events e
          ON e.id >= webhook._id_floor('evt', i.at) AND e.id < webhook._id_floor('evt', i.at + interval '1 millisecond')
         AND e.target IS NOT NULL AND webhook._delivery_id(e.id, e.target) = r.delivery_id AND webhook._account() IN ('', e.account)
        WHERE r.delivery_id = p_delivery_id)
$$;

-- Raises 42704 for a delivery of another account, as if it did not exist.
CREATE FUNCTION webhook._check_delivery(p_id text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM webhook._check_id('del', p_id);
    IF webhook._account() <> '' AND NOT EXISTS (
        SELECT FROM webhook.deliveries d WHERE d.id = p_id AND webhook._is_mine(d.webhook_id)) AND NOT webhook._is_queued(p_id) THEN
        PERFORM webhook._no_delivery(p_id);
    END IF;
END $$;

-- Made when the first role gets `read`, and not at CREATE EXTENSION: many a pg_dump writes policies of an extension's tables
-- into the dump, where they would meet those that CREATE EXTENSION had just made. Newer ones leave them out, so
-- webhook_adopt makes them again. Tables are locked only when there is something to make.
CREATE FUNCTION webhook._enable_policies() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    mine constant text := 'coalesce(pg_catalog.current_setting(''webhook.account'', true), '''')';
    row_ record;
BEGIN
    FOR row_ IN
        SELECT p.name, p.own FROM (VALUES
            ('webhooks', '%s IN ('''', account)'),
            ('events', '%s IN ('''', account)'),
            ('attempts', '%s = '''' OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = webhook_id)'),
            ('pending', '%s = '''' OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = webhook_id)'),
            ('subscriptions', '%s = '''' OR EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = listener_id)')
        ) p(name, own)
        WHERE NOT EXISTS (SELECT FROM pg_policy o WHERE o.polrelid = ('webhook.' || p.name)::regclass AND o.polname = 'account')
    LOOP
        EXECUTE format('CREATE POLICY account ON webhook.%I FOR SELECT USING (' || format(row_.own, mine) || ')', row_.name);
        EXECUTE format('ALTER TABLE webhook.%I ENABLE ROW LEVEL SECURITY', row_.name);
    END LOOP;
END $$;
