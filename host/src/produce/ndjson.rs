//! Messages from a file, one line each, as they stand: also lines that are no
//! JSON, since what a topic holds is not ours to judge. Empty lines are passed over.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;

use super::{Message, Messages};

pub struct Lines {
    reader: BufReader<File>,
    path: String,
    line: u64,
}

impl Lines {
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| {
            format!("{} cannot be opened; --from takes `synthetic` or a file", path.display())
        })?;
        Ok(Self { reader: BufReader::new(file), path: path.display().to_string(), line: 0 })
    }
}

impl Messages for Lines {
    fn next(&mut self, message: &mut Message) -> anyhow::Result<bool> {
        message.key.clear();
        loop {
            message.value.clear();
            self.line += 1;
            let read = self.reader.read_until(b'\n', &mut message.value);
            if read.with_context(|| format!("{} line {} cannot be read", self.path, self.line))? == 0 {
                return Ok(false);
            }
            while message.value.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                message.value.pop();
            }
            if !message.value.is_empty() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_message_whatever_it_holds() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"{\"a\":1}\r\n\n\xff broken\nlast").unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        let mut message = Message::default();
        let mut seen = Vec::new();
        while lines.next(&mut message).unwrap() {
            seen.push(message.value.clone());
        }
        assert_eq!(seen, [b"{\"a\":1}".to_vec(), b"\xff broken".to_vec(), b"last".to_vec()]);
    }
}
