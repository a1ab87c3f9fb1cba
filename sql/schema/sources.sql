-- What emits: watched tables and named emitters; and which webhooks listen to them.
CREATE TABLE webhook.sources (
    id             text COLLATE "C" PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('table', 'named')),
    name           text NOT NULL,
    relation       regclass,
    resource       text COLLATE "C",
    operations     text[],
    columns        text[],
    exclude        text[] NOT NULL DEFAULT '{}',
    update_of      text[],
    condition      text,
    names          jsonb NOT NULL DEFAULT '{}',
    key            text[],
    account_column name,
    previous       boolean NOT NULL DEFAULT false,
    on_error       text NOT NULL DEFAULT 'abort' CHECK (on_error IN ('abort', 'warn')),
    status         text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused')),
    numbers        jsonb NOT NULL DEFAULT '{}',
    numbers_of     text,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CHECK ((kind = 'table') = (relation IS NOT NULL)),
    CHECK ((kind = 'table') = (resource IS NOT NULL)),
    CHECK ((kind = 'table') = (operations IS NOT NULL))
);
CREATE UNIQUE INDEX sources_watched ON webhook.sources (relation, resource) WHERE kind = 'table';
CREATE UNIQUE INDEX sources_named ON webhook.sources (name) WHERE kind = 'named';
COMMENT ON TABLE webhook.sources IS 'What emits events: watched tables (webhook_watch) and named emitters (webhook_source_create).';
COMMENT ON COLUMN webhook.sources.numbers IS 'Of every column named here its number, which it keeps when it is renamed.';
COMMENT ON COLUMN webhook.sources.numbers_of IS 'The cluster, database and table that the numbers are of; a restored one has others, and there the names count.';

-- Rows whose event could not be made and whose source said on_error => 'warn'.
CREATE TABLE webhook.losses (
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    source_id text COLLATE "C",
    error     text NOT NULL
);
COMMENT ON TABLE webhook.losses IS 'Events lost because capture failed and the source asked to warn only; kept for webhook.retention.';

CREATE TABLE webhook.subscriptions (
    id          text COLLATE "C" PRIMARY KEY,
    emitter_id  text COLLATE "C" NOT NULL,
    listener_id text COLLATE "C" NOT NULL,
    event_name  text COLLATE "C" NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    UNIQUE (emitter_id, listener_id, event_name)
);
CREATE INDEX subscriptions_listener ON webhook.subscriptions (listener_id);
COMMENT ON TABLE webhook.subscriptions IS 'Source to webhook: the listener gets the emitter''s events, or only those named event_name.';

CREATE TRIGGER webhook_changed AFTER INSERT OR DELETE OR UPDATE ON webhook.subscriptions
    FOR EACH ROW EXECUTE FUNCTION webhook._webhook_changed();
