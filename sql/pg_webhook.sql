-- pg_webhook: everything CREATE EXTENSION installs, in load order.
-- `make` replaces each \i line by the file's text; the result is pg_webhook--<version>.sql.
\echo Use "CREATE EXTENSION pg_webhook" to load this file. \quit

-- Nobody's operators and functions, whatever the schema of CREATE EXTENSION holds.
SET LOCAL search_path = pg_catalog, pg_temp;

-- The tables, in the order the data flows.
\i schema/vocabulary.sql
\i schema/webhooks.sql
\i schema/secrets.sql
\i schema/secret_key.sql
\i schema/sources.sql
\i schema/event_types.sql
\i schema/events.sql
\i schema/attempts.sql
\i schema/pending.sql
\i schema/requests.sql
\i schema/deliveries.sql
\i schema/relays.sql
\i schema/term.sql
\i schema/accounts.sql

-- What users call, in the schema of their choice.
SET LOCAL search_path = @extschema@, pg_temp;
\i api/webhook.sql
\i api/secret.sql
\i api/webhook_list.sql
\i api/webhook_update.sql
\i api/event.sql
\i api/source_columns.sql
\i api/capture.sql
\i api/watch_checks.sql
\i api/watch.sql
\i api/source.sql
\i api/subscription.sql
\i api/match.sql
\i api/delivery.sql
\i api/replay.sql
\i api/explain.sql
\i api/send.sql
\i api/filter.sql
\i api/operate.sql

SET LOCAL search_path = pg_catalog, pg_temp;

-- What the relay calls, in the order it calls it.
\i relay/hello.sql
\i relay/lead.sql
\i relay/read.sql
\i relay/secrets.sql
\i relay/webhooks.sql
\i relay/record.sql
\i relay/claim.sql
\i relay/sleep.sql
\i relay/signal.sql
\i relay/maintain.sql

\i privileges.sql
\i dump.sql
