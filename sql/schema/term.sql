-- Unlogged: a crash and a failover reset it. Transactions and WAL that were read before, but were not yet on disk or on the standby, may
-- then never have been, and what comes after them gets their numbers: a window that was read before must not be recorded any more.
CREATE UNLOGGED SEQUENCE webhook.term MINVALUE 0 START 0 CACHE 1;
COMMENT ON SEQUENCE webhook.term IS 'The number in the windows of the leader that took over last; 0 after a crash or a failover: then nothing that was read before counts.';
