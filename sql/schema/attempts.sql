-- The delivery log: one appended row per HTTP request, never updated.
-- Partitioned like the events: a delivery id carries its event's time.
CREATE TABLE webhook.attempts (
    delivery_id      text COLLATE "C" NOT NULL,
    number           integer NOT NULL CHECK (number >= 0),
    event_id         text COLLATE "C" NOT NULL,
    webhook_id       text COLLATE "C" NOT NULL,
    at               timestamptz NOT NULL,
    outcome          text NOT NULL CHECK (outcome IN ('delivered', 'failed', 'retry', 'canceled')),
    response_code    integer,
    response_time_ms integer,
    error            text,
    response_headers jsonb,
    response_body    bytea,
    CHECK ((number = 0) = (outcome = 'canceled'))
) PARTITION BY RANGE (delivery_id);
COMMENT ON TABLE webhook.attempts IS 'Every HTTP request of every delivery and its outcome, partitioned like the events.';
COMMENT ON COLUMN webhook.attempts.number IS 'From 1. Number 0 is no request: the delivery was canceled before its first attempt.';
COMMENT ON COLUMN webhook.attempts.outcome IS 'delivered; failed: for good; retry: another attempt was planned (if it is no longer pending, it was canceled).';
COMMENT ON COLUMN webhook.attempts.response_time_ms IS 'Milliseconds from the start of the request to the end of the exchange.';

CREATE TABLE webhook.attempts_default PARTITION OF webhook.attempts DEFAULT;
-- As with the events, indexes are of the partitions alone.
ALTER TABLE webhook.attempts_default ADD PRIMARY KEY (delivery_id, number);
CREATE INDEX ON webhook.attempts_default (webhook_id, delivery_id);
-- What failed is looked for among much that did not; a delivery that succeeds pays nothing for it.
CREATE INDEX ON webhook.attempts_default (delivery_id) WHERE outcome <> 'delivered';
