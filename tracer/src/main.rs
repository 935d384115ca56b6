//! `tracer`: see `tracer help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracer::cli::run()
}
