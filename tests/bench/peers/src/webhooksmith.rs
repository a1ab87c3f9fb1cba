//! `webhooksmith DATABASE_URL RECEIVER COUNT`: queues as many events of 500 bytes in one transaction, says "ready", and
//! delivers them when it reads a line.

use std::error::Error;
use std::io::stdin;
use std::time::Duration;

use serde_json::json;
use webhooksmith::{NewEndpoint, WebhookEngine};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [database, receiver, count] = <[String; 3]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "three arguments")?;
    let engine = WebhookEngine::builder()
        .database_url(database)
        .allow_insecure_urls()
        .batch_size(64)
        .max_connections(64)
        .poll_interval(Duration::from_millis(10))
        .build()
        .await?;
    engine.migrate().await?;
    let endpoint = engine.register_with(NewEndpoint::new(receiver, "a secret of the bench's own")).await?;
    let mut transaction = engine.pool().begin().await?;
    for n in 0..count.parse::<u32>()? {
        let data = json!({ "n": n, "text": "x".repeat(481 - n.to_string().len()) });
        engine.send_in_tx("bench.tick", data, endpoint.id, &mut transaction).await?;
    }
    transaction.commit().await?;
    println!("ready");
    stdin().read_line(&mut String::new())?;
    engine.run().await
}
