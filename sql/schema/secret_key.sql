-- One row, so that who seals holds it still by a lock until the sealed secret is committed (webhook._keep_secret): when another key has
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
