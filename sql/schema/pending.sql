-- Deliveries that wait: the only mutable delivery state.
CREATE TABLE webhook.pending (
    delivery_id text COLLATE "C" PRIMARY KEY,
    event_id    text COLLATE "C" NOT NULL,
    webhook_id  text COLLATE "C" NOT NULL,
    key         text,
    reason      text NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    tries       integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL,
    ordered     boolean NOT NULL DEFAULT false,
    seq         bigint NOT NULL DEFAULT 0,
    lease       bigint NOT NULL DEFAULT 0,
    leased_by   text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((lease = 0) = (leased_by IS NULL)),
    CHECK (NOT ordered OR key IS NOT NULL)
);
-- While a delivery is leased its due_at is the lease's end, so an expired lease is simply due again.
CREATE INDEX pending_due ON webhook.pending (webhook_id, due_at);
CREATE INDEX pending_event ON webhook.pending (event_id);
CREATE INDEX pending_ordered ON webhook.pending (webhook_id, key, seq) WHERE ordered;
COMMENT ON TABLE webhook.pending IS 'Deliveries that wait for a retry, a due time, capacity or a resumed webhook.';
COMMENT ON COLUMN webhook.pending.reason IS 'retry, due, capacity, paused, secret (no key for it), ordered, blocked, replay, test or in_flight.';
COMMENT ON COLUMN webhook.pending.tries IS 'Attempts in the present schedule; a replay starts a new one.';
COMMENT ON COLUMN webhook.pending.lease IS 'Token of the relay that is sending it now; 0: nobody. Write-backs with another token change nothing.';
COMMENT ON COLUMN webhook.pending.ordered IS 'It must wait until every earlier one (by seq) of its webhook and key is gone from here; until then due_at is infinity, as a rule.';

-- A row that is not the first of its key waits. The lock on its predecessor makes whoever deletes that one see it. Where somebody has
-- locked that one already (and may be about to delete it), the row does not count on being seen: it is due, and claims leave it until it is first.
CREATE FUNCTION webhook._pending_queue() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM FROM webhook.pending p
    WHERE p.delivery_id = (SELECT b.delivery_id FROM webhook.pending b
                           WHERE b.ordered AND b.webhook_id = NEW.webhook_id AND b.key = NEW.key AND b.seq < NEW.seq
                           ORDER BY b.seq DESC LIMIT 1)
    FOR KEY SHARE SKIP LOCKED;
    IF FOUND THEN NEW.due_at := 'infinity'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER pending_queue BEFORE INSERT ON webhook.pending
    FOR EACH ROW WHEN (NEW.ordered) EXECUTE FUNCTION webhook._pending_queue();

-- When the first of a key goes, the next one is due; behind a blocked one everything stays.
CREATE FUNCTION webhook._pending_advance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    head webhook.pending;
BEGIN
    LOOP
        SELECT * INTO head FROM webhook.pending h
        WHERE h.ordered AND h.webhook_id = OLD.webhook_id AND h.key = OLD.key ORDER BY h.seq LIMIT 1;
        EXIT WHEN NOT FOUND OR head.due_at < 'infinity' OR head.lease <> 0 OR head.reason = 'blocked';
        UPDATE webhook.pending p SET due_at = clock_timestamp()
        WHERE p.delivery_id = head.delivery_id AND p.due_at = 'infinity' AND p.lease = 0 AND p.reason <> 'blocked';
        -- If not, somebody canceled it while we waited for it: then it is the next one's turn.
        EXIT WHEN FOUND;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER pending_advance AFTER DELETE ON webhook.pending
    FOR EACH ROW WHEN (OLD.ordered) EXECUTE FUNCTION webhook._pending_advance();
CREATE TRIGGER pending_left AFTER UPDATE OF ordered ON webhook.pending
    FOR EACH ROW WHEN (OLD.ordered AND NOT NEW.ordered) EXECUTE FUNCTION webhook._pending_advance();
