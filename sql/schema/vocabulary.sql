-- The schema, ids and the words of the wire that tables and functions need.
-- CREATE SCHEMA without IF NOT EXISTS: a schema that somebody made beforehand must not become ours.
CREATE SCHEMA webhook;
COMMENT ON SCHEMA webhook IS 'pg_webhook: webhooks, the event outbox, delivery log and what the relay calls';
REVOKE ALL ON SCHEMA webhook FROM PUBLIC;

CREATE FUNCTION webhook._new_id(prefix text) RETURNS text
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', '_new_id_wrapper';
COMMENT ON FUNCTION webhook._new_id(text) IS
    'A new id: prefix (wh, evt, src, sub, del), underscore, 26 base32 characters of a UUIDv7. Sorts by time.';

CREATE FUNCTION webhook._delivery_id(event_id text, webhook_id text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_delivery_id_wrapper';
COMMENT ON FUNCTION webhook._delivery_id(text, text) IS
    'The one delivery id of an event for a webhook: time of the event, the rest derived from both ids.';

CREATE FUNCTION webhook._id_time(id text) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_id_time_wrapper';
COMMENT ON FUNCTION webhook._id_time(text) IS 'The time in an id, to the millisecond.';

CREATE FUNCTION webhook._id_floor(prefix text, at timestamptz) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_id_floor_wrapper';
COMMENT ON FUNCTION webhook._id_floor(text, timestamptz) IS
    'The least id with this prefix and time: the bounds of partitions and of searches by time.';

CREATE FUNCTION webhook._check_id(prefix text, id text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_id_wrapper';
COMMENT ON FUNCTION webhook._check_id(text, text) IS 'The id itself; 22023 when it has another prefix.';

CREATE FUNCTION webhook._epoch() RETURNS integer
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_epoch_wrapper';
COMMENT ON FUNCTION webhook._epoch() IS
    'A number for this cluster and database (hash of system identifier and oid). Transaction ids and WAL positions of rows that carry another epoch belong to another cluster.';

CREATE FUNCTION webhook._library_version() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_library_version_wrapper';
COMMENT ON FUNCTION webhook._library_version() IS 'The version of the loaded library; differs from the extension''s until ALTER EXTENSION UPDATE.';

-- Calls into the library first: the webhook.* settings exist in a session once that is loaded. With a value that makes no sense
-- nothing goes too early, and the relay goes on.
CREATE FUNCTION webhook._retention() RETURNS interval
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    given text := CASE WHEN webhook._library_version() IS NOT NULL THEN current_setting('webhook.retention') END;
    kept interval;
BEGIN
    BEGIN
        kept := given::interval;
    EXCEPTION WHEN data_exception THEN NULL;
    END;
    IF kept > interval '0' THEN RETURN kept; END IF;
    RAISE WARNING USING ERRCODE = '22023', MESSAGE = format('webhook.retention "%s" is not a time to keep anything for', given),
        HINT = 'Set it to an interval above zero, such as ''7 days''. Until then it is 30 days.';
    RETURN interval '30 days';
END $$;
COMMENT ON FUNCTION webhook._retention() IS 'The setting webhook.retention; 30 days, and a warning, where that is no interval above zero.';

CREATE FUNCTION webhook._bytes(value json) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_bytes_wrapper';
COMMENT ON FUNCTION webhook._bytes(json) IS
    'The text as UTF-8 bytes, never an error: what cannot be converted stays as it is, for the relay to refuse alone.';

CREATE FUNCTION webhook._octets(value json) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textoctetlen';
COMMENT ON FUNCTION webhook._octets(json) IS
    'The bytes of the text, by its header: octet_length(value::text) reads all of it from where large values are stored.';

CREATE FUNCTION webhook._readable(bytes bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_readable_wrapper';
COMMENT ON FUNCTION webhook._readable(bytea) IS
    'Bytes from the network as text of this database; NUL and what the encoding cannot hold become ?.';

CREATE FUNCTION webhook._is_readable(value text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_is_readable_wrapper';
COMMENT ON FUNCTION webhook._is_readable(text) IS 'Whether a relay can read the text: all but bytes in SQL_ASCII that are not UTF-8.';

-- Checks of what users give: each returns its argument in normal form or raises 22023.
CREATE FUNCTION webhook._check_url(url text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_url_wrapper';
CREATE FUNCTION webhook._check_patterns(events text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_patterns_wrapper';
CREATE FUNCTION webhook._check_event_type(type text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_event_type_wrapper';
CREATE FUNCTION webhook._check_filter(filter_config jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_filter_wrapper';
CREATE FUNCTION webhook._check_options(options jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_options_wrapper';
CREATE FUNCTION webhook._check_secret(secret text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_secret_wrapper';
CREATE FUNCTION webhook._check_signing(options jsonb, kind text) RETURNS void
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_signing_wrapper';
CREATE FUNCTION webhook._check_schema(schema jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_check_schema_wrapper';
CREATE FUNCTION webhook._new_secret() RETURNS text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', '_new_secret_wrapper';
CREATE FUNCTION webhook._kind(secret text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_kind_wrapper';
COMMENT ON FUNCTION webhook._kind(text) IS 'What may be known of a secret: whsec_, its public key whpk_<base64>, or nothing. 22023 when it is none.';
CREATE FUNCTION webhook._seal(public_key text, webhook_id text, secret text) RETURNS text
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', '_seal_wrapper';
COMMENT ON FUNCTION webhook._seal(text, text, text) IS 'whsealed_<key>_<base64>: a secret of that webhook that only the private key opens.';
CREATE FUNCTION webhook._masked(kind text) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_masked_wrapper';
CREATE FUNCTION webhook._masked_options(options jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_masked_options_wrapper';
CREATE FUNCTION webhook._pattern_matches(events text[], type text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_pattern_matches_wrapper';
CREATE FUNCTION webhook._nearest(word text, known text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '_nearest_wrapper';
