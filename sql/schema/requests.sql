-- Requests of webhook_send: where each goes and how. What they send is an event like any other, for the hidden webhook
-- of their host alone; that webhook is what queues them in order, apart from other hosts.
CREATE TABLE webhook.requests (
    delivery_id text COLLATE "C" PRIMARY KEY,
    url         text NOT NULL,
    options     jsonb NOT NULL
);
COMMENT ON TABLE webhook.requests IS 'URL and options of one-off requests (webhook_send); may hold secrets, so nobody is granted it. Kept for webhook.retention.';
