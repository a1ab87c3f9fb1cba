-- From 0.1.0 to 0.2.0; put together as sql/pg_webhook.sql is.
\echo Use "ALTER EXTENSION pg_webhook UPDATE" to load this file. \quit

-- A table that somebody keeps locked makes this fail, rather than hold up everybody behind it.
SET LOCAL lock_timeout = '2s';
\i upgrade/remember.sql

SET LOCAL search_path = pg_catalog, pg_temp;
-- Here goes what cannot be replaced below: changes of tables, types and triggers, and DROP FUNCTION for another result type
-- or other arguments. tests/it/upgrade.rs names what is missing.
\i schema/secret_key.sql
\i schema/bell_until.sql
\i schema/term.sql
ALTER TABLE webhook.relays ADD COLUMN keys text[] NOT NULL DEFAULT '{}';
ALTER TABLE webhook.secrets ADD COLUMN kind text;
ALTER TABLE webhook.webhooks ADD COLUMN told text CHECK (told IN ('failing', 'disabled'));
-- Of the day partitions that are there each keeps the indexes that it has: to make one would hold up the relay.
CREATE INDEX ON webhook.attempts_default (delivery_id) WHERE outcome <> 'delivered';
DROP FUNCTION webhook._endpoint(text, text);
DROP FUNCTION webhook._relay_webhooks(text);
DROP FUNCTION webhook._relay_record(text, bigint, text, bigint, bigint, bigint, text[], text[], text[], text[], text[], integer[],
    integer[], bigint[], integer[], integer[], integer[], text[], text[], bytea[], bigint[]);
DROP FUNCTION webhook._relay_return(timestamptz, text, text[], text[], integer[], integer[], bigint[], text[], bigint[]);
DROP FUNCTION webhook._check_signing(jsonb, text);
DROP FUNCTION webhook._masked(text);
DROP FUNCTION webhook._next_window(jsonb, pg_snapshot);
DROP FUNCTION webhook._wal_mark();
DROP FUNCTION webhook._seconds(jsonb);
DROP FUNCTION webhook._headers(text, text, jsonb, text[], text, text, timestamptz, json, json, text, text, text, timestamptz);

\replace pg_webhook.sql
UPDATE webhook.secrets SET kind = webhook._kind(secret);
ALTER TABLE webhook.secrets ALTER COLUMN kind SET NOT NULL;
\i privileges.sql
\i upgrade/grant_again.sql
\i dump.sql
