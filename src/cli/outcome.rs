//! How a command ends: one place for messages and exit codes.

use std::process::ExitCode;

use crate::config::Problem;

/// Why a command did not end with 0.
#[derive(Debug)]
pub(in crate::cli) enum Failure {
    /// 1: it could not do its work.
    Failed(String),
    /// 2: it was called wrongly.
    Usage(String),
    /// 3: it did its work, and what it checked does not hold. The finding has been printed.
    CheckFailed,
}

impl Failure {
    /// Exit code 1, with a message that says what happened, why, and what to do.
    pub(in crate::cli) fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// Prints the message and gives the exit code.
    pub(in crate::cli) fn report(self) -> ExitCode {
        match self {
            Self::Failed(message) => {
                eprintln!("onsite: {message}");
                ExitCode::from(1)
            }
            Self::Usage(message) => {
                eprintln!("onsite: {message}");
                ExitCode::from(2)
            }
            Self::CheckFailed => ExitCode::from(3),
        }
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
        Self::Usage(format!("the settings do not hold:\n{}", lines.join("\n")))
    }
}

/// The result of a command.
pub(in crate::cli) type CommandResult = Result<(), Failure>;

/// Writes a line to standard output; a reader that has gone (`| head`) is not an error.
pub(in crate::cli) fn say(line: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A table with aligned columns; the last one is not padded.
pub(in crate::cli) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(at, cell)| if at + 1 == row.len() { cell.clone() } else { format!("{cell}{}", " ".repeat(widths[at] - cell.chars().count())) })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
