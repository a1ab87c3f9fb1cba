-- What pg_dump keeps: without these lines an extension's rows are silently not in backups.
SELECT pg_catalog.pg_extension_config_dump('webhook.webhooks', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.secrets', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.secret_key', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.sources', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.subscriptions', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.losses', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.event_types', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('webhook.events_default', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.idempotency', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.attempts_default', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.pending', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.requests', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.cursors', '');
SELECT pg_catalog.pg_extension_config_dump('webhook.identity', '');
