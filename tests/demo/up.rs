//! `make up`: a private Postgres with the extension, and a relay, until Ctrl-C.

use crate::stand::Stand;

/// Starts both and waits to be stopped.
pub async fn run() {
    let stand = Stand::start().await;
    stand.session.run("CREATE EXTENSION pg_webhook").await;
    let relay = stand.relay().await;
    println!(
        "
PostgreSQL and webhook-relay are running. In another terminal:

    psql '{url}'

    SELECT id, secret FROM webhook_create('http://127.0.0.1:9000/', '{{user.*}}');
    SELECT webhook_emit('user.created', '{{\"name\": \"Ada\"}}');

    {listen} listen --port 9000 --secret <that secret>

The relay may send to this machine; its health is at {health} and its figures are at {metrics}.
The database goes away with it all. Press Ctrl-C to stop.",
        url = stand.url(),
        listen = webhook_tests::stage::Stage::get().await.relay.display(),
        health = relay.url("/readyz"),
        metrics = relay.url("/metrics"),
    );
    std::future::pending::<()>().await;
}
