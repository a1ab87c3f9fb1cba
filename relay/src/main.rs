//! `webhook-relay`

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use webhook_relay::config::{Cli, Command};
use webhook_relay::error::Error;
use webhook_relay::{check, key_file, listen, log, panics, run};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 78 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let result = start(cli.command);
    log::finish();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("webhook-relay: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn start(command: Command) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::System)?;
    let result = match command {
        Command::Run(config) => {
            log::start(&config.log)?;
            panics::watch();
            runtime.block_on(run::run(config))
        }
        Command::Listen(config) => runtime.block_on(listen::listen(config)),
        Command::Check(config) => runtime.block_on(check::check(config)),
        Command::NewKey(config) => key_file::new_key(&config.secret_key_file).map_err(Error::Config),
    };
    // Requests past the shutdown timeout and name look-ups under way are not waited for.
    runtime.shutdown_background();
    result
}
