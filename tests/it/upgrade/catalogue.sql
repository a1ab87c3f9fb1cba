-- The extension as the catalogue has it, a line for each thing: what it is, and all that can be said of it.
WITH members AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND x.extname = 'pg_webhook'
), relations AS (
    SELECT c.*, c.oid::regclass::text AS name FROM pg_class c WHERE c.relnamespace = 'webhook'::regnamespace
), functions AS (
    SELECT p.* FROM pg_proc p
    WHERE p.pronamespace = 'webhook'::regnamespace OR p.oid IN (SELECT objid FROM members WHERE classid = 'pg_proc'::regclass)
), things(thing, said) AS (
    SELECT 'member ' || pg_describe_object(classid, objid, 0), '' FROM members
    UNION ALL
    SELECT 'version', extversion || ' in ' || extnamespace::regnamespace FROM pg_extension WHERE extname = 'pg_webhook'
    UNION ALL
    SELECT 'in dumps: ' || c.oid::regclass, c.condition
    FROM pg_extension x, unnest(x.extconfig, x.extcondition) c(oid, condition) WHERE x.extname = 'pg_webhook'
    UNION ALL
    SELECT 'schema webhook', concat_ws(' | ', nspowner::regrole, nspacl::text, obj_description(oid, 'pg_namespace'))
    FROM pg_namespace WHERE nspname = 'webhook'
    UNION ALL
    SELECT 'function ' || oid::regprocedure, concat_ws(' | ', proowner::regrole,
               (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(proacl) a),
               obj_description(oid, 'pg_proc'), pg_get_functiondef(oid)) FROM functions
    UNION ALL
    SELECT 'relation ' || name, concat_ws(' | ', relkind, relpersistence, relowner::regrole, reloptions::text, relreplident,
               relrowsecurity, relforcerowsecurity, pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid),
               (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(relacl) a),
               obj_description(oid, 'pg_class'), CASE WHEN relkind = 'v' THEN pg_get_viewdef(oid) END) FROM relations
    UNION ALL
    SELECT 'column ' || r.name || '.' || a.attname, concat_ws(' | ',
               row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
               a.attcollation::regcollation, a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression,
               pg_get_expr(d.adbin, d.adrelid), (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(a.attacl) x),
               col_description(r.oid, a.attnum))
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT 'constraint ' || conname || ' of ' || CASE conrelid WHEN 0 THEN contypid::regtype::text ELSE conrelid::regclass::text END,
           concat_ws(' | ', pg_get_constraintdef(oid), convalidated, obj_description(oid, 'pg_constraint'))
    FROM pg_constraint WHERE connamespace = 'webhook'::regnamespace
    UNION ALL
    SELECT 'index ' || indexrelid::regclass, concat_ws(' | ', pg_get_indexdef(indexrelid), indisvalid, indisclustered)
    FROM pg_index WHERE indrelid IN (SELECT oid FROM relations)
    UNION ALL
    SELECT 'policy ' || polname || ' of ' || polrelid::regclass, concat_ws(' | ', polcmd, polpermissive, polroles::text,
               pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
    FROM pg_policy WHERE polrelid IN (SELECT oid FROM relations)
    UNION ALL
    SELECT 'trigger ' || tgname || ' of ' || tgrelid::regclass, concat_ws(' | ', tgenabled, pg_get_triggerdef(oid))
    FROM pg_trigger WHERE NOT tgisinternal AND (tgrelid IN (SELECT oid FROM relations) OR tgfoid IN (SELECT oid FROM functions))
    UNION ALL
    SELECT 'rule ' || rulename || ' of ' || ev_class::regclass, pg_get_ruledef(oid)
    FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM relations)
    UNION ALL
    SELECT 'sequence ' || seqrelid::regclass,
           concat_ws(' | ', seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle)
    FROM pg_sequence WHERE seqrelid IN (SELECT oid FROM relations)
    UNION ALL
    SELECT 'type ' || t.oid::regtype, concat_ws(' | ', typtype, typowner::regrole, typacl::text, obj_description(t.oid, 'pg_type'))
    FROM pg_type t WHERE t.typnamespace = 'webhook'::regnamespace
    UNION ALL
    SELECT 'event type ' || type, concat_ws(' | ', description, schema, builtin) FROM webhook.event_types
)
SELECT thing, said FROM things ORDER BY thing
