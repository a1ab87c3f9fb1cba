-- One row per delivery with its present status, derived from the log and from what is pending.
-- As its reader, so that policies on the tables hold for it.
CREATE VIEW webhook.deliveries WITH (security_invoker = true) AS
SELECT a.delivery_id AS id, a.event_id, e.type AS event_type, a.webhook_id,
       CASE WHEN p.reason <> 'blocked' THEN 'pending'
            WHEN a.outcome = 'retry' THEN 'canceled'
            ELSE a.outcome END AS status,
       a.number AS attempts, a.response_code, a.response_time_ms, a.error,
       nullif(p.due_at, 'infinity') AS next_attempt_at, webhook._id_time(a.delivery_id) AS created_at, a.at AS updated_at
FROM webhook.attempts a
LEFT JOIN webhook.pending p ON p.delivery_id = a.delivery_id
LEFT JOIN webhook.events e ON e.id = a.event_id
WHERE NOT EXISTS (SELECT FROM webhook.attempts l
                  WHERE l.delivery_id = a.delivery_id AND l.number > a.number)
UNION ALL
SELECT p.delivery_id, p.event_id, e.type, p.webhook_id, 'pending', 0, NULL, NULL, NULL,
       nullif(p.due_at, 'infinity'), webhook._id_time(p.delivery_id), p.created_at
FROM webhook.pending p
LEFT JOIN webhook.events e ON e.id = p.event_id
WHERE NOT EXISTS (SELECT FROM webhook.attempts a WHERE a.delivery_id = p.delivery_id);
COMMENT ON VIEW webhook.deliveries IS 'One row per delivery: pending, delivered, failed or canceled, with its latest attempt.';
