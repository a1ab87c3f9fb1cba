-- Whoever had a capability before the upgrade has all of it now.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN SELECT * FROM json_to_recordset(current_setting('pg_webhook.capable')::json) h(role oid, capability text) LOOP
        PERFORM @extschema@.webhook_grant(held.role::regrole, held.capability);
    END LOOP;
END $$;
