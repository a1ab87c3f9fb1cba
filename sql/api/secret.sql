-- Secrets: how they are kept, shown and rotated, and the keys that seal them.

CREATE FUNCTION webhook._keep_secret(p_webhook_id text, p_secret text, at timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    key text;
BEGIN
    SELECT k.public_key INTO key FROM webhook.secret_key k FOR SHARE;
    INSERT INTO webhook.secrets (webhook_id, secret, kind, created_at)
    VALUES (p_webhook_id, coalesce(webhook._seal(key, p_webhook_id, p_secret), p_secret), webhook._kind(p_secret), at);
END $$;
COMMENT ON FUNCTION webhook._keep_secret(text, text, timestamptz) IS 'Adds a secret to a webhook''s, sealed if there is a key to seal with.';

CREATE FUNCTION webhook._shown_secret(p_webhook_id text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT webhook._masked(s.kind)
           || CASE WHEN webhook._key_of(s.secret) IS NOT NULL AND s.kind NOT LIKE 'whpk%' THEN ' (sealed)' ELSE '' END
    FROM webhook.secrets s WHERE s.webhook_id = p_webhook_id ORDER BY s.created_at DESC LIMIT 1
$$;
COMMENT ON FUNCTION webhook._shown_secret(text) IS 'A webhook''s newest secret as it may be shown.';

CREATE FUNCTION webhook._signs(options jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT coalesce(options->>'signature', 'sha256') IN ('sha256', 'hex', 'standard')
$$;
COMMENT ON FUNCTION webhook._signs(jsonb) IS 'Whether requests with these options are signed with a secret.';

CREATE FUNCTION webhook._key_wanted(p_webhook_id text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT k.key
    FROM webhook.webhooks w JOIN webhook.secrets s ON s.webhook_id = w.id, webhook._key_of(s.secret) k(key)
    WHERE w.id = p_webhook_id AND webhook._signs(w.options) AND k.key IS NOT NULL
      AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
      AND NOT EXISTS (SELECT FROM webhook.relays r WHERE k.key = ANY (r.keys) AND r.seen_at > clock_timestamp() - interval '20 seconds')
    ORDER BY s.created_at DESC LIMIT 1
$$;
COMMENT ON FUNCTION webhook._key_wanted(text) IS 'The key without which a webhook''s requests cannot be signed, if no running relay has it.';

CREATE FUNCTION webhook_rotate_secret(id text, secret text DEFAULT NULL, grace interval DEFAULT '24 hours')
    RETURNS webhook._webhook
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    w webhook.webhooks;
    key text := webhook._check_secret(coalesce(webhook_rotate_secret.secret, webhook._new_secret()));
    at timestamptz := clock_timestamp();
BEGIN
    IF grace IS NULL OR grace < '0' OR grace > '30 days' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('grace "%s" is not between 0 and 30 days', grace),
            HINT = 'During the grace both secrets are valid; 24 hours is the default.';
    END IF;
    UPDATE webhook.webhooks h SET updated_at = at
    WHERE h.id = webhook_rotate_secret.id AND h.host IS NULL AND webhook._account() IN ('', h.account) RETURNING * INTO w;
    IF NOT FOUND THEN PERFORM webhook._no_webhook(webhook_rotate_secret.id); END IF;
    PERFORM webhook._check_signing(w.options, webhook._kind(key));
    DELETE FROM webhook.secrets s WHERE s.webhook_id = w.id AND s.expires_at <= at;
    UPDATE webhook.secrets s SET expires_at = least(s.expires_at, at + grace) WHERE s.webhook_id = w.id;
    PERFORM webhook._keep_secret(w.id, key, at);
    RETURN webhook._show(w, key);
END $$;
COMMENT ON FUNCTION webhook_rotate_secret(text, text, interval) IS
    'Gives a webhook a new secret, generated (whsec_) or of your own (also whsk_), shown here in full. Older ones stay valid for grace: webhook-signature then carries one signature per secret, newest first.';

CREATE FUNCTION webhook_secret_keys() RETURNS TABLE (key text, status text, secrets bigint, relays bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp SET jit = off AS $$
    WITH kept AS (
        SELECT webhook._key_of(s.secret) AS key FROM webhook.secrets s
        WHERE s.expires_at IS NULL OR s.expires_at > clock_timestamp()
    ), keys AS (
        SELECT x.id AS key FROM webhook.secret_key x WHERE x.id IS NOT NULL
        UNION SELECT f.key FROM webhook.secret_key x, unnest(x.former) f(key)
        UNION SELECT k.key FROM kept k
    )
    SELECT a.key, CASE WHEN a.key IS NULL THEN 'plain' WHEN a.key = (SELECT x.id FROM webhook.secret_key x) THEN 'current'
                       WHEN n.secrets = 0 THEN 'unused' ELSE 'old' END,
           n.secrets,
           (SELECT count(*) FROM webhook.relays r WHERE a.key = ANY (r.keys) AND r.seen_at > clock_timestamp() - interval '20 seconds')
    FROM keys a, LATERAL (SELECT count(*) FROM kept k WHERE k.key IS NOT DISTINCT FROM a.key) n(secrets)
    ORDER BY 2, 1
$$;
COMMENT ON FUNCTION webhook_secret_keys() IS
    'What secrets are sealed for: the current key of --secret-key-file, old ones that some are still sealed for, unused ones whose line in the file can go; plain: not sealed. With the number of secrets and of running relays that have the key.';

CREATE FUNCTION webhook_forget_secret_key() RETURNS text
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    UPDATE webhook.secret_key k SET id = NULL, public_key = NULL, former = k.former || o.id
    FROM webhook.secret_key o WHERE k.one AND o.id IS NOT NULL RETURNING o.id
$$;
COMMENT ON FUNCTION webhook_forget_secret_key() IS
    'The private key is lost: seals nothing more with it, so that the next relay with a key can put its own in its place. Returns its id. What is sealed for it stays so: webhook_rotate_secret(id, grace => ''0'') gives each such webhook a new secret.';
