-- What happened to whom and when, for the log of a failed round.
SELECT to_char(at, 'HH24:MI:SS.MS'), what FROM (
    SELECT at, 'arrived ' || delivery_id || ' ' || path || ' ' || (body->>'type') || ' ' || event_id || ' signed ' || to_char(signed_at, 'HH24:MI:SS') FROM chaos.arrived
    UNION ALL SELECT pg_xact_commit_timestamp(xmin), 'recorded ' || delivery_id || ' ' || concat_ws(' ', number, outcome, response_code, error) FROM webhook.attempts
    UNION ALL SELECT at, 'replayed ' || delivery_id FROM chaos.replayed
    UNION ALL SELECT began, 'fault ' || name FROM chaos.fault
    UNION ALL SELECT pg_xact_commit_timestamp(xmin), 'emitted ' || id || ' ' || concat_ws(' ', type, created_at, key, data->>'version', data->>'turn', 'due', deliver_at, 'xid', xid, 'seq', seq) FROM webhook.events
    UNION ALL SELECT at, 'cursor ' || concat_ws(' ', n, leader, seq, xid, ahead, "window") FROM webhook.cursors
    UNION ALL SELECT pg_xact_commit_timestamp(xid::xid), 'version ' || concat_ws(' ', webhook_id, n, keeps, since, types, ordered) FROM chaos.version
    UNION ALL SELECT clock_timestamp(), 'canceled on the former primary alone: ' || delivery_id FROM chaos.undone_cancel
    UNION ALL SELECT clock_timestamp(), 'pending ' || p::text FROM webhook.pending p
) h(at, what) ORDER BY at;
