//! How one stage of a job is named: on the command line, in checkpoints, in messages.

use std::fmt;
use std::str::FromStr;

use speed_layer_plugin::Stage;

/// A stage of a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageName {
    Parse,
    /// By its place among the transforms, from 0.
    Transform(usize),
    /// By its aggregate's name.
    Aggregate(String),
}

impl StageName {
    /// The kind of plugin that serves it.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Parse => Stage::Parse,
            Self::Transform(_) => Stage::Transform,
            Self::Aggregate(_) => Stage::Aggregate,
        }
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse => f.write_str("parse"),
            Self::Transform(index) => write!(f, "transform:{index}"),
            Self::Aggregate(name) => write!(f, "aggregate:{name}"),
        }
    }
}

/// As [`fmt::Display`] writes it. A bare `transform` is the first one; a bare `aggregate`
/// has an empty name, which stands for the only one.
impl FromStr for StageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("parse", "") => Ok(Self::Parse),
            ("transform", "") => Ok(Self::Transform(0)),
            ("transform", index) => {
                let wrong = |_| format!("`{index}` is no number of a transform; the first is `transform:0`");
                index.parse().map(Self::Transform).map_err(wrong)
            }
            ("aggregate", name) => Ok(Self::Aggregate(name.to_owned())),
            _ => Err(format!("`{text}` is no stage; use parse, transform[:NUMBER] or aggregate[:NAME]")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_read_as_it_is_written() {
        let stages = [StageName::Parse, StageName::Transform(2), StageName::Aggregate("daily".into())];
        for stage in stages {
            assert_eq!(stage.to_string().parse(), Ok(stage));
        }
        assert_eq!("transform".parse(), Ok(StageName::Transform(0)));
        assert_eq!("aggregate".parse(), Ok(StageName::Aggregate(String::new())));
        for wrong in ["", "sink", "parse:1", "transform:x", "transform:-1"] {
            assert!(wrong.parse::<StageName>().is_err(), "{wrong}");
        }
    }
}
