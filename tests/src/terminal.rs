//! A program at a terminal: what is typed to it, and what it shows. The terminal is `script`'s.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// One that runs. Dropping it kills it.
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    shows: Receiver<Vec<u8>>,
    shown: String,
    /// Up to where what was shown has been awaited.
    seen: usize,
}

impl Terminal {
    /// Starts `program` with these arguments and variables.
    ///
    /// # Errors
    /// There is no `script`.
    pub fn start(program: &Command) -> Result<Self> {
        let words = std::iter::once(program.get_program()).chain(program.get_args());
        let line: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &line.join(" "), "/dev/null"]);
        command
            .env("TERM", "xterm")
            .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot start `script`, of util-linux")?;
        let (keys, screen) =
            (child.stdin.take().context("no stdin")?, child.stdout.take().context("no stdout")?);
        let (sender, shows) = channel();
        thread::spawn(move || each_piece(screen, |piece| sender.send(piece).is_ok()));
        Ok(Self { child, keys, shows, shown: String::new(), seen: 0 })
    }

    /// Types these characters; `\r` is the Enter key, `\u{4}` Ctrl-D.
    ///
    /// # Errors
    /// The program is gone.
    pub fn type_keys(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes())?;
        Ok(self.keys.flush()?)
    }

    /// Waits until `text` is shown behind what was awaited before, and tells what came up to it.
    ///
    /// # Errors
    /// The program ends or `limit` passes without it.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                let until = self.seen + at + text.len();
                let came = self.shown[self.seen..until].to_owned();
                self.seen = until;
                return Ok(came);
            }
            match self.shows.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(piece) => self.shown += &String::from_utf8_lossy(&piece),
                Err(why) => bail!("`{text}` was not shown ({why}):\n{}", self.shown),
            }
        }
    }

    /// Waits for its end; gives how it ended, and all that it showed.
    ///
    /// # Errors
    /// `limit` passes.
    pub fn finish(mut self, limit: Duration) -> Result<(ExitStatus, String)> {
        let deadline = Instant::now() + limit;
        loop {
            match self.shows.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(piece) => self.shown += &String::from_utf8_lossy(&piece),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("it did not end:\n{}", self.shown),
            }
        }
        Ok((self.child.wait()?, std::mem::take(&mut self.shown)))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn each_piece(mut screen: impl Read, mut give: impl FnMut(Vec<u8>) -> bool) {
    let mut piece = [0; 4096];
    while let Ok(bytes @ 1..) = screen.read(&mut piece) {
        if !give(piece[..bytes].to_vec()) {
            return;
        }
    }
}
