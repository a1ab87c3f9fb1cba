//! `make demo`: what a user does, step by step, on real parts; exits with 0 only if all of it happened.
//! `make up` (`demo up`): the same parts, left running until Ctrl-C.

mod listener;
mod stand;
mod tour;
mod up;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let formatted = payload.downcast_ref::<String>().map(String::as_str);
        let said = formatted.or(payload.downcast_ref::<&str>().copied()).unwrap_or("a step failed");
        eprintln!("\nThat did not work: {said}");
    }));
    let stay = std::env::args().nth(1).as_deref() == Some("up");
    let work = async { if stay { up::run().await } else { tour::run().await } };
    // What runs is ended when its owner is dropped, whichever of the two comes first.
    tokio::select! {
        () = work => ExitCode::SUCCESS,
        _ = tokio::signal::ctrl_c() => {
            println!("\nStopping.");
            if stay { ExitCode::SUCCESS } else { ExitCode::from(130) }
        }
    }
}
