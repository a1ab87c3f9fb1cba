-- Nobody but the owner has anything, also where default privileges say otherwise; webhook_grant gives capabilities. What was
-- there before an upgrade (upgrade/remember.sql) is left as it is.
SELECT webhook._keep_to_owner(c.oid) FROM pg_class c
WHERE c.relnamespace = 'webhook'::regnamespace
  AND c.relkind = ANY ('{r,p,v,S}'::"char"[])
  AND c.oid <> ALL (coalesce(nullif(current_setting('pg_webhook.kept', true), ''), '{}')::oid[]);
DO $$
DECLARE
    kept oid[] := coalesce(nullif(current_setting('pg_webhook.kept', true), ''), '{}');
    statement text;
BEGIN
    FOR statement IN
        SELECT format('REVOKE ALL ON FUNCTION %s FROM %s', p.oid::regprocedure,
                                 CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END)
        FROM pg_proc p
        JOIN pg_depend d ON d.classid = 'pg_proc'::regclass
             AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass
             AND d.refobjid = x.oid AND x.extname = 'pg_webhook'
        CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
        WHERE g.grantee <> p.proowner AND p.oid <> ALL (kept)
        UNION
        SELECT format('REVOKE ALL ON SCHEMA webhook FROM %s', g.grantee::regrole)
        FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) g
        WHERE n.nspname = 'webhook' AND g.grantee <> n.nspowner AND n.oid <> ALL (kept)
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
