-- The catalogue of event types. What a user says of a type that we brought stands in a row of its own, before ours: backups
-- hold users' rows alone, and a new extension has ours already, perhaps more of them.
CREATE TABLE webhook.event_types (
    type        text COLLATE "C" NOT NULL,
    description text,
    schema      jsonb,
    builtin     boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (type, builtin)
);
-- Sessions keep compiled schemas until one changes.
CREATE FUNCTION webhook._event_types_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, webhook, pg_temp AS $$
BEGIN
    PERFORM webhook._forget_plans('webhook.event_types'::regclass);
    RETURN NULL;
END $$;
COMMENT ON TABLE webhook.event_types IS 'Known event types: both tables of the seed documents, ours, and what webhook_event_type_create and webhook_watch add.';

INSERT INTO webhook.event_types (type, description, builtin) VALUES
    ('user.created', 'A new user was created', true),
    ('user.updated', 'A user was updated', true),
    ('user.deleted', 'A user was deleted', true),
    ('data.created', 'A new data resource was created', true),
    ('data.updated', 'A data resource was updated', true),
    ('data.deleted', 'A data resource was deleted', true),
    ('report.generated', 'A report was generated', true),
    ('system.alert', 'A system alert was triggered', true),
    ('project.created', 'A new project was created', true),
    ('project.updated', 'A project was updated', true),
    ('project.deleted', 'A project was deleted', true),
    ('team.member.added', 'A member was added to a team', true),
    ('team.member.removed', 'A member was removed from a team', true),
    ('team.member.role_changed', 'A member''s role was changed', true),
    ('webhook.test', 'A test sent by webhook_test', true),
    ('webhook.send', 'A one-off request made by webhook_send', true),
    ('webhook.failing', 'A webhook fails: its breaker opened', true),
    ('webhook.recovered', 'A failing webhook answers again', true),
    ('webhook.disabled', 'The relay made a webhook inactive', true),
    ('delivery.failed', 'A delivery failed for good', true);

CREATE TRIGGER event_types_changed AFTER INSERT OR UPDATE OR DELETE ON webhook.event_types
    FOR EACH STATEMENT EXECUTE FUNCTION webhook._event_types_changed();
