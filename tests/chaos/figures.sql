-- Deliveries due; requests; those repeated with no record between; those that were unrecorded at a hard fault, which bounds them.
SELECT (SELECT count(*) FROM chaos.wanted WHERE must),
       (SELECT count(*) FROM chaos.arrived),
       (SELECT count(*) FROM (SELECT delivery_id, at, lag(at) OVER (PARTITION BY delivery_id ORDER BY n) AS before FROM chaos.arrived) p
        WHERE p.before IS NOT NULL
          AND NOT EXISTS (SELECT FROM chaos.replayed r WHERE r.delivery_id = p.delivery_id)
          AND NOT EXISTS (SELECT FROM webhook.attempts r WHERE r.delivery_id = p.delivery_id AND r.outcome = 'retry'
                          AND pg_xact_commit_timestamp(r.xmin) BETWEEN p.before AND p.at)),
       (SELECT count(*) FROM chaos.arrived a JOIN chaos.fault f ON a.at <= f.ended
        WHERE NOT EXISTS (SELECT FROM webhook.attempts r WHERE r.delivery_id = a.delivery_id
                          AND pg_xact_commit_timestamp(r.xmin) BETWEEN a.at AND f.began));
