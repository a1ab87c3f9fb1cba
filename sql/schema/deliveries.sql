-- One row per delivery with its present status, derived from the log and from what is pending; with what the status is derived
-- from, so that a search by status finds its rows by an index (webhook_deliveries). Log and pending come together before anything is
-- joined to them: so the newest are read from the ends of their indexes, however long the log is.
-- As its reader, so that policies on the tables hold for it.
CREATE VIEW webhook._deliveries WITH (security_invoker = true) AS
SELECT d.delivery_id AS id, d.event_id, e.type AS event_type, d.webhook_id,
       CASE WHEN p.reason <> 'blocked' OR d.outcome IS NULL THEN 'pending'
            WHEN d.outcome = 'retry' THEN 'canceled'
            ELSE d.outcome END AS status,
       greatest(d.number, 0) AS attempts, d.response_code, d.response_time_ms, d.error,
       nullif(p.due_at, 'infinity') AS next_attempt_at, webhook._id_time(d.delivery_id) AS created_at, d.at AS updated_at,
       d.outcome, p.delivery_id IS NOT NULL AS waits
FROM (SELECT a.delivery_id, a.number, a.event_id, a.webhook_id, a.at, a.outcome, a.response_code, a.response_time_ms, a.error
      FROM webhook.attempts a
      UNION ALL
      -- Before all attempts: what counts for a delivery that was attempted is its newest one.
      SELECT q.delivery_id, -1, q.event_id, q.webhook_id, q.created_at, NULL::text, NULL::integer, NULL::integer, NULL::text
      FROM webhook.pending q) d
LEFT JOIN webhook.pending p ON p.delivery_id = d.delivery_id
LEFT JOIN webhook.events e ON e.id = d.event_id
WHERE NOT EXISTS (SELECT FROM webhook.attempts l WHERE l.delivery_id = d.delivery_id AND l.number > d.number);

CREATE VIEW webhook.deliveries WITH (security_invoker = true) AS
SELECT d.id, d.event_id, d.event_type, d.webhook_id, d.status, d.attempts, d.response_code, d.response_time_ms, d.error,
       d.next_attempt_at, d.created_at, d.updated_at
FROM webhook._deliveries d;
COMMENT ON VIEW webhook.deliveries IS 'One row per delivery: pending, delivered, failed or canceled, with its latest attempt.';
