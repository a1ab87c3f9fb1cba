-- Signing secrets. (The key that they are sealed with has a file of its own.)

-- Apart from webhooks, so that no grant on that table can ever show a secret.
CREATE TABLE webhook.secrets (
    webhook_id text COLLATE "C" NOT NULL,
    secret     text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    kind       text NOT NULL,
    PRIMARY KEY (webhook_id, created_at)
);
COMMENT ON TABLE webhook.secrets IS 'Signing secrets; the newest signs, older ones also until expires_at (rotation). Readable by the relay capability alone.';
COMMENT ON COLUMN webhook.secrets.secret IS 'Plain, or whsealed_<key>_<base64>: sealed for a key that only the relay has.';
COMMENT ON COLUMN webhook.secrets.kind IS 'What may be known of it: whsec_ (a key of Standard Webhooks), whpk_<base64> (the public key of a whsk_), or nothing.';
CREATE TRIGGER webhook_changed AFTER INSERT OR DELETE OR UPDATE ON webhook.secrets
    FOR EACH ROW EXECUTE FUNCTION webhook._webhook_changed();

CREATE FUNCTION webhook._key_of(secret text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE WHEN secret LIKE 'whsealed\_%' THEN split_part(secret, '_', 2) END
$$;
COMMENT ON FUNCTION webhook._key_of(text) IS 'The id of the key that a stored secret is sealed for; NULL of a plain one.';
