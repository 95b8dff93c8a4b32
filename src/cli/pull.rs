//! `streamgate pull`.

use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;

use crate::cli::bar::{bar, style};
use crate::cli::talk::{At, INTERRUPTED, block_on, interrupt, say, write};
use crate::client::{Backoff, Pull, Pulled};

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// The model, as Ollama calls it
    model: String,
    #[command(flatten)]
    at: At,
    /// Print the lines of Ollama's answer
    #[arg(long)]
    json: bool,
    /// Connections in a row that bring nothing before it gives up
    #[arg(long, value_name = "N", default_value_t = 10)]
    retries: u32,
}

const EXIT_CODES: &str = "\
It joins a pull of the model that runs already. Ctrl-C leaves it running. The key needs the scope `manage`.

Exit codes: 0 pulled, 1 could not be asked for, 2 wrong usage, 3 the pull failed, 130 interrupted, and the pull goes on";

const FAILED: u8 = 3;
const STATUS: &str = "{msg}";
const BAR: &str = "{msg:20!} {wide_bar} {binary_bytes}/{binary_total_bytes} {eta:>3}";

/// Pulls a model and shows how far it is.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut pull = Pull::new(arguments.at.server()?, &arguments.model, Backoff::new(arguments.retries))?;
    let bar = bar(0, STATUS)?;
    let result = block_on(async {
        tokio::select! {
            biased;
            () = interrupt() => {
                bar.finish_and_clear();
                say(&format!("the pull of {0} goes on; `streamgate pull {0}` shows how far it is", arguments.model))?;
                Ok(ExitCode::from(INTERRUPTED))
            }
            code = watch(&mut pull, arguments, &bar) => code,
        }
    });
    bar.finish_and_clear();
    result
}

async fn watch(pull: &mut Pull, arguments: &Arguments, bar: &ProgressBar) -> anyhow::Result<ExitCode> {
    let mut status = String::new();
    loop {
        match pull.next().await? {
            Pulled::Line(line) => {
                if arguments.json {
                    write(&format!("{line}\n"))?;
                }
                let (done, all) = pull.bytes();
                if all > 0 && bar.length() == Some(0) {
                    bar.set_style(style(BAR)?);
                }
                bar.set_length(all);
                bar.set_position(done);
                if status != pull.status() {
                    pull.status().clone_into(&mut status);
                    bar.set_message(status.clone());
                    if bar.is_hidden() && !arguments.json {
                        say(&status)?;
                    }
                }
            }
            Pulled::Waiting { wait, why } => {
                let words = format!("streamgate: {why}; asking again in {:.1} s", wait.as_secs_f64());
                bar.suspend(|| say(&words))?;
            }
            Pulled::Done => {
                if !arguments.json {
                    bar.suspend(|| write(&format!("pulled {}\n", arguments.model)))?;
                }
                return Ok(ExitCode::SUCCESS);
            }
            Pulled::Failed(why) => {
                bar.suspend(|| say(&format!("streamgate: the pull of {} failed: {why}", arguments.model)))?;
                return Ok(ExitCode::from(FAILED));
            }
        }
    }
}
