-- A relay that is stopped or cut off in its sleep must not make every commit notify until somebody finds out.
CREATE UNLOGGED SEQUENCE webhook.bell_until MINVALUE 0 START 0 CACHE 1;
COMMENT ON SEQUENCE webhook.bell_until IS 'Until when the bell counts, in milliseconds since 1970: a sleeping relay renews it every 5 seconds. 0: without end.';
