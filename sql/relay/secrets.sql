-- The keys that secrets are sealed with: the relay brings the public one, and seals again what is plain or under an old one.

CREATE FUNCTION webhook._relay_secret_key(p_instance text, p_ids text[], p_public_key text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    own text := p_ids[1];
    k webhook.secret_key;
BEGIN
    UPDATE webhook.relays r SET keys = p_ids WHERE r.instance = p_instance;
    SELECT * INTO k FROM webhook.secret_key;
    IF own IS NULL OR own IS NOT DISTINCT FROM k.id THEN RETURN k.id; END IF;
    INSERT INTO webhook.secret_key (one) VALUES (true) ON CONFLICT DO NOTHING;
    -- Who is adding a secret holds it; the relay asks again soon.
    SELECT * INTO k FROM webhook.secret_key FOR UPDATE SKIP LOCKED;
    IF FOUND AND (k.id IS NULL OR k.id = ANY (p_ids) AND own <> ALL (k.former)) THEN
        UPDATE webhook.secret_key SET id = own, public_key = p_public_key, former = array_remove(k.former || k.id, NULL);
    END IF;
    RETURN (SELECT x.id FROM webhook.secret_key x);
END $$;
COMMENT ON FUNCTION webhook._relay_secret_key(text, text[], text) IS
    'Notes which keys a relay has and puts the first in use, if it has the one before it too (or there is none) and was not replaced itself. Returns the key in use.';

CREATE FUNCTION webhook._micros(at timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
    SELECT (extract(epoch FROM at) * 1000000)::bigint
$$;
COMMENT ON FUNCTION webhook._micros(timestamptz) IS 'Microseconds since 1970.';

-- Names secrets by when they were made: what a call's parameters hold, the server may log.
CREATE FUNCTION webhook._relay_reseal(p_webhook_ids text[], p_at bigint[], p_former text[], p_sealed text[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
    WITH changed AS (
        UPDATE webhook.secrets s SET secret = f.sealed
        -- What somebody is rotating is sealed later: the relay asks again.
        FROM (SELECT s.webhook_id, s.created_at, n.sealed
              FROM unnest(p_webhook_ids, p_at, p_former, p_sealed) n(webhook_id, at, former, sealed)
              JOIN webhook.secrets s ON s.webhook_id = n.webhook_id AND webhook._micros(s.created_at) = n.at
              WHERE webhook._key_of(s.secret) IS NOT DISTINCT FROM n.former
                AND webhook._key_of(n.sealed) = (SELECT k.id FROM webhook.secret_key k)
              FOR NO KEY UPDATE OF s SKIP LOCKED) f
        WHERE s.webhook_id = f.webhook_id AND s.created_at = f.created_at RETURNING s.webhook_id
    )
    SELECT count(*) FROM changed
$$;
COMMENT ON FUNCTION webhook._relay_reseal(text[], bigint[], text[], text[]) IS
    'Puts sealed secrets in the place of those sealed for a former key, or plain, unless somebody else has or the key is not in use any more. Returns how many.';
