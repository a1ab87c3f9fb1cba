-- What must hold when everything is healed and drained. Each query returns what breaks its rule, so: nothing.
--
-- Who should have got an event is decided by what its transaction saw: chaos.tx.seen is from its last statement. A version of a
-- webhook that was seen then was committed before the event, and the relay, which reads the event after its commit, knows that
-- version or a later one. So what all of those want must arrive, and what none of them wants must not. The last version of a webhook
-- that was deleted wants nothing. What was canceled may arrive: it may have been on its way.
CREATE TABLE chaos.wanted AS
SELECT e.id AS event_id, w.webhook_id, webhook._delivery_id(e.id, w.webhook_id) AS delivery_id, e.deliver_at,
       coalesce(bool_or(v.n = s.n), false) AND bool_and(v.wants)
           AND webhook._delivery_id(e.id, w.webhook_id) NOT IN (SELECT delivery_id FROM chaos.canceled) AS must, coalesce(bool_or(v.wants), false) OR w.webhook_id IN (SELECT webhook_id FROM chaos.undone_version) AS may
FROM webhook.events e
JOIN chaos.tx t ON t.xid = e.xid
CROSS JOIN (SELECT DISTINCT webhook_id FROM chaos.version) w
LEFT JOIN LATERAL (SELECT max(v.n) AS n FROM chaos.version v WHERE v.webhook_id = w.webhook_id AND pg_visible_in_snapshot(v.xid, t.seen)) s ON true
LEFT JOIN LATERAL (
    SELECT v.n, v.keeps AND v.since <= e.created_at AND split_part(e.type, '.', 1) || '.*' = ANY (v.types) AS wants
    FROM chaos.version v WHERE v.webhook_id = w.webhook_id AND v.n >= coalesce(s.n, 0)) v ON true
WHERE e.type LIKE 'thing.%' OR e.type LIKE 'note.%'
GROUP BY e.id, w.webhook_id, e.deliver_at;
CREATE UNIQUE INDEX ON chaos.wanted (delivery_id);
CREATE INDEX ON chaos.arrived (delivery_id, at);
ANALYZE;

-- check: what was acknowledged is there
SELECT name FROM chaos.acknowledged EXCEPT SELECT name FROM chaos.tx;

-- check: every committed change of a row is one event, and nothing else is
(SELECT type, thing, version FROM chaos.did EXCEPT ALL
 SELECT type, (data->>'id')::int, (data->>'version')::int FROM webhook.events WHERE type LIKE 'thing.%')
UNION ALL
(SELECT type, (data->>'id')::int, (data->>'version')::int FROM webhook.events WHERE type LIKE 'thing.%' EXCEPT ALL
 SELECT type, thing, version FROM chaos.did);

-- check: every committed emit is one event, and nothing else is
SELECT coalesce(s.event_id, e.id), s.turn FROM chaos.said s
FULL JOIN (SELECT * FROM webhook.events WHERE type LIKE 'note.%') e ON e.id = s.event_id
WHERE s.event_id IS NULL OR e.id IS NULL;

-- check: an idempotency key has one event
SELECT idempotency_key, count(DISTINCT event_id) FROM chaos.said WHERE idempotency_key IS NOT NULL
GROUP BY idempotency_key HAVING count(DISTINCT event_id) > 1;

-- check: what must be sent arrived
SELECT w.*, e.type, e.created_at, e.xid, e.seq FROM chaos.wanted w JOIN webhook.events e ON e.id = w.event_id
WHERE must AND NOT EXISTS (SELECT FROM chaos.arrived a WHERE a.delivery_id = w.delivery_id AND a.is_valid);

-- check: what must be sent is logged as delivered
SELECT w.delivery_id, w.webhook_id, d.status, d.attempts, d.error FROM chaos.wanted w
LEFT JOIN webhook.deliveries d ON d.id = w.delivery_id WHERE must AND d.status IS DISTINCT FROM 'delivered' AND w.delivery_id NOT IN (SELECT delivery_id FROM chaos.undone_replay);

-- check: what arrived was committed, if only on a server that is no more and whose standby did not have it
SELECT a.n, a.event_id, a.at, a.body FROM chaos.arrived a WHERE NOT EXISTS (SELECT FROM webhook.events e WHERE e.id = a.event_id)
  AND NOT EXISTS (SELECT FROM chaos.undone_event u WHERE u.event_id = a.event_id);

-- check: what arrived was wanted, or asked for by a replay
SELECT a.n, a.at, w.* FROM chaos.arrived a JOIN chaos.wanted w ON w.delivery_id = a.delivery_id
WHERE NOT w.may AND NOT EXISTS (SELECT FROM chaos.replayed r WHERE r.delivery_id = a.delivery_id);

-- check: what arrived says what was emitted, to whom it is for, rightly signed
SELECT a.n, a.path, a.is_valid, a.body FROM chaos.arrived a LEFT JOIN webhook.events e ON e.id = a.event_id
LEFT JOIN webhook.webhooks w ON w.id = a.webhook_id
WHERE NOT a.is_valid OR a.delivery_id IS DISTINCT FROM webhook._delivery_id(a.event_id, a.webhook_id)
   OR w.url NOT LIKE '%' || a.path OR a.body->>'id' <> e.id OR a.body->>'type' <> e.type OR a.body->'data' <> e.data::jsonb;

-- check: what arrived was signed a moment ago, by the right clock, unless its relay was frozen then, or its packets were dropped: the
-- kernel sends those again, half a minute later still, whatever became of the request
SELECT a.n, a.at, a.signed_at FROM chaos.arrived a
WHERE a.signed_at > a.at + interval '1 second' OR (a.signed_at < a.at - interval '10 seconds'
  AND NOT EXISTS (SELECT FROM chaos.fault f WHERE (f.name LIKE 'Freeze%' OR f.name = 'packets are dropped')
                  AND f.began BETWEEN a.signed_at - interval '1 second' AND a.at));

-- check: nothing came before its time
SELECT a.n, a.at, e.deliver_at FROM chaos.arrived a JOIN webhook.events e ON e.id = a.event_id WHERE a.at < e.deliver_at;

-- check: every delivery that there is ended well, or was canceled, by itself or with its webhook
SELECT d.* FROM webhook.deliveries d WHERE d.status <> 'delivered' AND d.event_type ~ '^(thing|note)'
  AND NOT (d.status = 'canceled' AND (d.id IN (SELECT delivery_id FROM chaos.canceled UNION ALL SELECT delivery_id FROM chaos.undone_replay)
                                      OR NOT EXISTS (SELECT FROM webhook.webhooks w WHERE w.id = d.webhook_id)));

-- check: what was canceled, or whose webhook was deleted, is signed no more when a relay's claim to it (15 s) must have ended
SELECT a.n, a.delivery_id, a.signed_at, c.at FROM chaos.arrived a
JOIN (SELECT delivery_id, at FROM chaos.canceled
      UNION ALL SELECT a.delivery_id, pg_xact_commit_timestamp(v.xid::xid) FROM chaos.arrived a
                JOIN chaos.version v ON v.webhook_id = a.webhook_id AND v.types = '{}') c ON c.delivery_id = a.delivery_id
WHERE a.signed_at > c.at + interval '20 seconds' AND NOT EXISTS (SELECT FROM chaos.replayed r WHERE r.delivery_id = a.delivery_id AND r.at > c.at);

-- check: a delivery is logged as delivered once, and once more for each replay or repeated request
SELECT a.delivery_id, count(*) FROM webhook.attempts a WHERE a.outcome = 'delivered' GROUP BY a.delivery_id
HAVING count(*) > 1 + (SELECT count(*) FROM chaos.replayed r WHERE r.delivery_id = a.delivery_id)
   AND count(*) > (SELECT count(*) FROM chaos.arrived r WHERE r.delivery_id = a.delivery_id);

-- check: every answer that is logged was given
SELECT t.delivery_id, t.logged FROM (SELECT delivery_id, count(*) AS logged FROM webhook.attempts WHERE response_code IS NOT NULL GROUP BY 1) t
WHERE t.logged > (SELECT count(*) FROM chaos.arrived a WHERE a.delivery_id = t.delivery_id);

-- check: a request is repeated only if the one before it was recorded as failed, was replayed, or was unrecorded at a fault
SELECT p.delivery_id, p.before, p.at FROM (
    SELECT a.n, a.delivery_id, a.at, a.signed_at, lag(a.at) OVER (PARTITION BY a.delivery_id ORDER BY a.n) AS before FROM chaos.arrived a) p
WHERE p.before IS NOT NULL
  -- Frozen between signing and sending, and woken after its lease: no lease can stop that one.
  AND p.at - p.signed_at < interval '10 seconds'
  AND NOT EXISTS (SELECT FROM webhook.attempts r WHERE r.delivery_id = p.delivery_id AND r.outcome = 'retry'
                  AND pg_xact_commit_timestamp(r.xmin) BETWEEN p.before AND p.at)
  AND NOT EXISTS (SELECT FROM chaos.replayed r WHERE r.delivery_id = p.delivery_id AND r.at < p.at)
  AND NOT EXISTS (SELECT FROM chaos.fault f WHERE f.began <= p.at AND f.ended >= p.before
                  AND NOT EXISTS (SELECT FROM webhook.attempts r WHERE r.delivery_id = p.delivery_id AND r.outcome = 'delivered'
                                  AND pg_xact_commit_timestamp(r.xmin) < least(f.began, p.at)));

-- check: of one key, nothing older comes after something newer
SELECT a.n, a.delivery_id, a.at, k.key, k.turn, k.before FROM (
    SELECT o.n, o.key, o.turn, max(o.turn) OVER (PARTITION BY o.webhook_id, o.key ORDER BY o.n) AS before FROM (
        SELECT a.n, a.webhook_id, e.key, coalesce((e.data->>'version')::int * 2 + (e.type = 'thing.deleted')::int, (e.data->>'turn')::int) AS turn
        FROM chaos.arrived a JOIN webhook.events e ON e.id = a.event_id
        WHERE e.key IS NOT NULL AND (SELECT bool_and(v.ordered) FROM chaos.version v WHERE v.webhook_id = a.webhook_id)) o) k
JOIN chaos.arrived a ON a.n = k.n WHERE k.before > k.turn AND a.at - a.signed_at < interval '10 seconds'
  -- What was on its way when it was canceled may still come, and what comes after it need not wait.
  AND NOT EXISTS (SELECT FROM webhook.attempts t WHERE t.delivery_id = a.delivery_id AND t.number = 0)
  AND a.delivery_id NOT IN (SELECT delivery_id FROM chaos.undone_cancel)
  -- An asynchronous standby does not know all that was sent, and begins anew where it stands.
  AND NOT (EXISTS (SELECT FROM chaos.fault f WHERE f.name LIKE 'FailOver%Asynchronous%' AND f.began < a.at)
           AND EXISTS (SELECT FROM chaos.arrived b WHERE b.delivery_id = a.delivery_id AND b.n < a.n));
