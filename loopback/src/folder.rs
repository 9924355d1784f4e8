//! The folder of a server with several processes: who ends them, and what they wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How many lines of each file [`logs`] shows.
const LINES: usize = 40;

/// Ends the processes of a folder when this one ends without doing it, however that happens: a shell that waits for the end of its input,
/// which comes with our end, kills the pids that files in the folder's `pids` are named after, and removes the folder.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Watches over a folder with a sub-folder `pids`.
    pub fn over(folder: &Path) -> Self {
        let script =
            "trap '' INT TERM HUP; read -r _; for pid in $(ls \"$1/pids\"); do kill -9 \"$pid\"; done; rm -rf \"$1\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "guard"]).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The end of each file `*.log` of a folder, for messages.
pub fn logs(folder: &Path) -> String {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
    let last = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let end = &lines[lines.len().saturating_sub(LINES)..];
        format!("\n--- {}\n{}", path.display(), end.join("\n"))
    };
    files.map(last).collect()
}
