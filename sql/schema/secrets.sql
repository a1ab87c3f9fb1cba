-- Signing secrets, and the public key that they are sealed with before they get here.

-- Apart from webhooks, so that no grant on that table can ever show a secret.
CREATE TABLE webhook.secrets (
    webhook_id text COLLATE "C" NOT NULL,
    secret     text NOT NULL,
    kind       text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (webhook_id, created_at)
);
COMMENT ON TABLE webhook.secrets IS 'Signing secrets; the newest signs, older ones also until expires_at (rotation). Readable by the relay capability alone.';
COMMENT ON COLUMN webhook.secrets.secret IS 'Plain, or whsealed_<key>_<base64>: sealed for a key that only the relay has.';
COMMENT ON COLUMN webhook.secrets.kind IS 'What may be known of it: whsec_ (a key of Standard Webhooks), whpk_<base64> (the public key of a whsk_), or nothing.';
CREATE TRIGGER webhook_changed AFTER INSERT OR DELETE OR UPDATE ON webhook.secrets
    FOR EACH ROW EXECUTE FUNCTION webhook._webhook_changed();

-- One row, so that who seals holds it still by a lock until the sealed secret is committed (webhook._sealed): when another key has
-- taken its place, nobody adds secrets under the former one.
CREATE TABLE webhook.secret_key (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    id         text,
    public_key text,
    former     text[] NOT NULL DEFAULT '{}',
    CHECK ((id IS NULL) = (public_key IS NULL))
);
COMMENT ON TABLE webhook.secret_key IS 'The public key that new secrets are sealed with: the first line of a relay''s --secret-key-file. No row or no id: secrets are kept plain.';
COMMENT ON COLUMN webhook.secret_key.former IS 'Keys that were in use before. None of them comes back while another one is in use.';

CREATE FUNCTION webhook._key_of(secret text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT CASE WHEN secret LIKE 'whsealed\_%' THEN split_part(secret, '_', 2) END
$$;
COMMENT ON FUNCTION webhook._key_of(text) IS 'The id of the key that a stored secret is sealed for; NULL of a plain one.';
