//! A real `webhook-relay listen`, and what it prints.

use std::process::Command;

use webhook_tests::process::Process;
use webhook_tests::relay::Logs;
use webhook_tests::stage::Stage;

/// A running receiver.
pub struct Listener {
    printed: Logs,
    _process: Process,
}

impl Listener {
    /// Starts it; it answers 503 to the first `failures` requests.
    pub async fn start(port: u16, secret: &str, failures: u32) -> Self {
        let mut command = Command::new(&Stage::get().await.relay);
        command.args(["listen", "--port", &port.to_string(), "--secret", secret]);
        command.args(["--fail-first", &failures.to_string()]);
        let (process, printed) = Logs::of(&mut command);
        printed.wait_for("listening on").await;
        println!("    webhook-relay listen is ready at port {port}");
        Self { printed, _process: process }
    }

    /// Everything it printed.
    pub fn text(&self) -> String {
        self.printed.text()
    }

    /// Waits for an event to arrive with right signatures, and shows what was printed of it.
    pub async fn arrives(&self, event: &str) {
        self.shows(event, 200).await;
    }

    /// Waits for an event to be refused, and shows what was printed of it.
    pub async fn fails(&self, event: &str) {
        self.shows(event, 503).await;
    }

    async fn shows(&self, event: &str, answered: u16) {
        let marks = [event, &format!("→  {answered}"), "signature verified  standard verified"];
        let is_it = |block: &&[String]| {
            let whole = block.last().is_some_and(|line| line == "  }");
            whole && marks.iter().all(|mark| block.iter().any(|line| line.contains(mark)))
        };
        let find = |lines: &[String]| lines.split(String::is_empty).find(is_it).map(<[String]>::to_vec);
        for line in self.printed.find(&format!("{event}, verified, answered {answered}"), find).await {
            println!("      │ {line}");
        }
    }
}
