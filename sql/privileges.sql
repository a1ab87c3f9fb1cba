-- PUBLIC has nothing; webhook_grant gives capabilities.
REVOKE ALL ON ALL TABLES IN SCHEMA webhook FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA webhook FROM PUBLIC;
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_catalog.pg_proc p
             WHERE p.pronamespace = 'webhook'::pg_catalog.regnamespace
                OR (p.proname LIKE 'webhook\_%' AND p.pronamespace = '@extschema@'::pg_catalog.regnamespace)
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
