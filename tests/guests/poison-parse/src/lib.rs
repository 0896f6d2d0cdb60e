//! A guest for tests: the parser of ticks, which stumbles over some prices, or is up to a mischief in one call.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
#![warn(missing_docs)]

use flat_json::{FlatJson, Kind, Record, TICK};
use speed_layer_sdk::parse::{ParseDescription, Parsed, RawBatch, RawValues};
use speed_layer_sdk::prelude::*;
use stumbles::mischief::{Action, misbehave};

/// The twelve fields.
#[derive(Debug)]
pub struct Tick;

impl Record for Tick {
    fn fields() -> Vec<(&'static str, Kind)> {
        TICK.to_vec()
    }
}

/// The parser; see the crate's own words.
#[derive(Debug)]
pub struct PoisonParse(FlatJson<Tick>);

impl Parse for PoisonParse {
    fn configure(config: &mut Config) -> Result<Self, Refusal> {
        FlatJson::configure(config).map(Self)
    }

    fn describe(&self) -> ParseDescription {
        misbehave("describe");
        self.0.describe()
    }

    fn open(&mut self, wanted: &[u32]) -> Result<(), Refusal> {
        match misbehave("open") {
            Action::Refuse => Err(Refusal::BadConfig("poison-parse refuses".into())),
            _ => self.0.open(wanted),
        }
    }

    fn parse(&mut self, context: &Context, records: RawBatch) -> Result<Parsed, Failure> {
        let action = misbehave("parse");
        match action {
            Action::Refuse => return Err(Failure::StopJob("poison-parse stops".into())),
            Action::Retry => return Err(Failure::RetryBatch("poison-parse wants it again".into())),
            _ => {}
        }
        let mut miscounts = action == Action::Miscount;
        for price in stumbles::ALL {
            let text = format!("\"price\":{price},");
            let values = RawValues::of(&records)?;
            if has(values.packed(), text.as_bytes()) {
                miscounts |= stumbles::stumble(price);
            }
        }
        let mut parsed = self.0.parse(context, records)?;
        parsed.rows.rows += u32::from(miscounts);
        Ok(parsed)
    }
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}

export_parse!(PoisonParse);
