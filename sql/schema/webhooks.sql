-- Registered endpoints.
CREATE TABLE webhook.webhooks (
    id              text COLLATE "C" PRIMARY KEY,
    url             text NOT NULL,
    name            text,
    description     text,
    events          text[] NOT NULL,
    status          text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    disabled_reason text,
    filter_config   jsonb,
    account         text,
    options         jsonb NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    active_since    timestamptz NOT NULL,
    failing_since   timestamptz,
    host            text,
    told            text CHECK (told IN ('failing', 'disabled')),
    CHECK (status = 'inactive' OR disabled_reason IS NULL)
);
CREATE INDEX webhooks_host ON webhook.webhooks (host) WHERE host IS NOT NULL;
COMMENT ON TABLE webhook.webhooks IS 'Registered endpoints. Change them with webhook_create, webhook_update and webhook_delete.';
COMMENT ON COLUMN webhook.webhooks.events IS 'Patterns: an exact type, user.* or *. Empty: only through subscriptions.';
COMMENT ON COLUMN webhook.webhooks.disabled_reason IS 'Why the relay made it inactive (410, five days of failures); NULL when a person did or it is active.';
COMMENT ON COLUMN webhook.webhooks.active_since IS 'Events created before this moment are not sent to it, except by replay.';
COMMENT ON COLUMN webhook.webhooks.host IS 'Set: not a registered endpoint but the queue of webhook_send to this scheme://host:port; the API does not show it.';
COMMENT ON COLUMN webhook.webhooks.told IS 'Which operator event was emitted last and still holds: webhook.failing (until webhook.recovered) or webhook.disabled (until somebody makes it active).';
COMMENT ON COLUMN webhook.webhooks.failing_since IS 'Since when every attempt has failed; NULL while the last one succeeded.';

-- A webhook takes its secrets and subscriptions along. Not by foreign keys: pg_restore --jobs loads an extension's tables in
-- any order.
CREATE FUNCTION webhook._webhook_gone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    DELETE FROM webhook.secrets s WHERE s.webhook_id = OLD.id;
    DELETE FROM webhook.subscriptions u WHERE u.listener_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER webhook_gone AFTER DELETE ON webhook.webhooks FOR EACH ROW EXECUTE FUNCTION webhook._webhook_gone();

-- One row as the API shows it.
CREATE TYPE webhook._webhook AS (
    id text, url text, name text, description text, events text[], status text, disabled_reason text,
    filter_config jsonb, account text, options jsonb, secret text, created_at timestamptz,
    updated_at timestamptz, last_triggered timestamptz
);

-- What changed and in which transaction, so that a relay knows at each read, in the same snapshot, what it has to reload.
CREATE TABLE webhook.changes (
    xid        xid8 NOT NULL,
    webhook_id text COLLATE "C" NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX changes_xid ON webhook.changes (xid);
COMMENT ON TABLE webhook.changes IS 'Which webhooks changed in which transaction, for the relay''s cache; trimmed by maintenance.';

CREATE FUNCTION webhook._webhook_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
DECLARE
    row_ jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    INSERT INTO webhook.changes (xid, webhook_id)
    VALUES (pg_current_xact_id(), coalesce(row_->>'webhook_id', row_->>'listener_id', row_->>'id'));
    PERFORM webhook._forget_plans('webhook.webhooks'::regclass);
    PERFORM pg_notify('webhook', '');
    RETURN NULL;
END $$;

CREATE TRIGGER webhook_changed AFTER INSERT OR DELETE OR UPDATE OF
        url, events, status, filter_config, account, options, active_since ON webhook.webhooks
    FOR EACH ROW EXECUTE FUNCTION webhook._webhook_changed();
