-- What there is before an upgrade, for privileges.sql to leave alone, and which roles have a capability, to get what is new of it.
SET LOCAL search_path = pg_catalog, webhook, pg_temp;
SELECT set_config('pg_webhook.kept', (SELECT array_agg(o.oid)::text FROM (
    SELECT d.objid FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND x.extname = 'pg_webhook'
    UNION
    SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'webhook'::regnamespace) o(oid)), true);
SELECT set_config('pg_webhook.capable', (
    SELECT coalesce(json_agg(json_build_object('role', h.grantee, 'capability', h.capability)), '[]')::text FROM (
        SELECT c.capability, g.grantee
        FROM (SELECT a.*, count(*) OVER (PARTITION BY a.capability) AS functions FROM webhook._capabilities() a
              WHERE a.privilege LIKE 'EXECUTE ON FUNCTION %') c
        JOIN pg_proc p ON c.privilege = 'EXECUTE ON FUNCTION ' || p.oid::regprocedure
        CROSS JOIN LATERAL aclexplode(p.proacl) g
        WHERE g.grantee NOT IN (0, p.proowner)
        GROUP BY c.capability, g.grantee, c.functions HAVING count(*) = c.functions) h
    WHERE h.capability <> 'read' OR EXISTS (
        SELECT FROM pg_class t CROSS JOIN LATERAL aclexplode(t.relacl) g
        WHERE t.oid = 'webhook.events'::regclass AND g.grantee = h.grantee AND g.privilege_type = 'SELECT')), true);
