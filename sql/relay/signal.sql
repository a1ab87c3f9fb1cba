-- What the relay decides about a webhook: failing, disabled; and the operator events that tell of it. A webhook that somebody is changing
-- is not waited for (55P03): the relay comes again.

CREATE FUNCTION webhook._relay_failing(p_webhook_id text, p_failing boolean) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp SET lock_timeout = '10ms' AS $$
    UPDATE webhook.webhooks w SET failing_since = CASE WHEN p_failing THEN clock_timestamp() END
    WHERE w.id = p_webhook_id AND w.host IS NULL AND (w.failing_since IS NOT NULL) <> p_failing
$$;

CREATE FUNCTION webhook._relay_disable(p_webhook_id text, p_reason text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp SET lock_timeout = '10ms' AS $$
BEGIN
    UPDATE webhook.webhooks w SET status = 'inactive', disabled_reason = p_reason, updated_at = clock_timestamp()
    WHERE w.id = p_webhook_id AND w.host IS NULL AND w.status = 'active';
    RETURN FOUND;
END $$;

CREATE FUNCTION webhook._relay_signal(p_webhook_id text, p_type text, p_data jsonb) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp SET lock_timeout = '10ms' AS $$
DECLARE
    account text;
BEGIN
    IF p_type = 'delivery.failed' THEN
        SELECT w.account INTO account FROM webhook.webhooks w WHERE w.id = p_webhook_id;
    ELSE
        -- Several relays may see the same, and one that was restarted sees it again.
        UPDATE webhook.webhooks w
        SET told = CASE p_type WHEN 'webhook.failing' THEN 'failing' WHEN 'webhook.disabled' THEN 'disabled' END
        WHERE w.id = p_webhook_id AND w.host IS NULL AND CASE p_type
            WHEN 'webhook.failing' THEN w.told IS NULL
            WHEN 'webhook.disabled' THEN w.status = 'inactive' AND w.told IS DISTINCT FROM 'disabled'
            ELSE w.told = 'failing' END
        RETURNING w.account INTO account;
    END IF;
    RETURN CASE WHEN FOUND THEN webhook._append(p_type, p_data::json, key => p_webhook_id, account => account) END;
END $$;
COMMENT ON FUNCTION webhook._relay_signal(text, text, jsonb) IS
    'Emits an operator event and returns its id; NULL when it was told already, or the webhook is gone.';
