//! A letter as a record of a topic: the original key, value and timestamp, and all that is
//! known besides as headers whose names begin with `speed-layer.`.

use speed_layer_core::records::Records;
use speed_layer_store::kept_letters::{KeptLetter, Missed};

const JOB: &str = "speed-layer.job";
const TOPIC: &str = "speed-layer.topic";
const PARTITION: &str = "speed-layer.partition";
const OFFSET: &str = "speed-layer.offset";
const KIND: &str = "speed-layer.kind";
const MESSAGE: &str = "speed-layer.message";
const STAGE: &str = "speed-layer.stage";
const AGGREGATE: &str = "speed-layer.aggregate";
const PLUGIN_DIGEST: &str = "speed-layer.plugin-digest";
const EPOCH: &str = "speed-layer.epoch";
const WINDOW_START_MS: &str = "speed-layer.window-start-ms";
const WINDOW_END_MS: &str = "speed-layer.window-end-ms";
const LATE_BY_MS: &str = "speed-layer.late-by-ms";

/// The headers of a letter of this job.
pub fn headers_of(letter: &KeptLetter, job: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        (JOB, job.to_owned()),
        (TOPIC, letter.topic.clone()),
        (PARTITION, letter.partition.to_string()),
        (OFFSET, letter.offset.to_string()),
        (KIND, letter.kind.clone()),
        (MESSAGE, letter.message.clone()),
        (STAGE, letter.stage.clone()),
        (EPOCH, letter.epoch.to_string()),
    ];
    headers.extend(letter.aggregate.clone().map(|name| (AGGREGATE, name)));
    headers.extend(letter.plugin_digest.clone().map(|digest| (PLUGIN_DIGEST, digest)));
    if let Some(missed) = letter.missed {
        headers.push((WINDOW_START_MS, missed.start_ms.to_string()));
        headers.push((WINDOW_END_MS, missed.end_ms.to_string()));
        headers.push((LATE_BY_MS, missed.late_by_ms.to_string()));
    }
    headers
}

/// The headers of a window of this job, which was staged as a letter.
pub fn window_headers(letter: &KeptLetter, job: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![(JOB, job.to_owned()), (EPOCH, letter.epoch.to_string())];
    headers.extend(letter.aggregate.clone().map(|name| (AGGREGATE, name)));
    headers
}

/// The letter that a record with its headers is; `None` for any other record.
pub fn letter_of(records: &Records, row: usize, job: &str) -> Option<KeptLetter> {
    let text = |name: &str| header(records, row, name);
    if text(JOB)? != job {
        return None;
    }
    let number = |name: &str| text(name)?.parse::<i64>().ok();
    let missed = || {
        let (start_ms, end_ms) = (number(WINDOW_START_MS)?, number(WINDOW_END_MS)?);
        Some(Missed { start_ms, end_ms, late_by_ms: number(LATE_BY_MS)? })
    };
    Some(KeptLetter {
        topic: text(TOPIC)?.to_owned(),
        partition: text(PARTITION)?.parse().ok()?,
        offset: number(OFFSET)?,
        timestamp_ms: Some(records.timestamps_ms[row]).filter(|at_ms| *at_ms >= 0),
        key: records.keys.get(row).map(<[u8]>::to_vec),
        value: records.values.get(row).map(<[u8]>::to_vec),
        kind: text(KIND)?.to_owned(),
        message: text(MESSAGE)?.to_owned(),
        stage: text(STAGE)?.to_owned(),
        aggregate: text(AGGREGATE).map(str::to_owned),
        plugin_digest: text(PLUGIN_DIGEST).map(str::to_owned),
        epoch: text(EPOCH)?.parse().ok()?,
        missed: missed(),
    })
}

/// The last header of that name.
fn header<'a>(records: &'a Records, row: usize, name: &str) -> Option<&'a str> {
    let headers = records.headers.as_ref()?;
    let (from, to) = (headers.starts()[row] as usize, headers.starts()[row + 1] as usize);
    let at = (from..to).rev().find(|at| headers.names().get(*at) == Some(name.as_bytes()))?;
    std::str::from_utf8(headers.values().get(at)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use speed_layer_core::records::Headers;

    fn records(letters: &[&KeptLetter]) -> Records {
        let mut records = Records { headers: Some(Headers::default()), ..Records::default() };
        for letter in letters {
            records.partitions.push(9);
            records.offsets.push(9);
            records.timestamps_ms.push(letter.timestamp_ms.unwrap_or(-1));
            records.keys.push(letter.key.as_deref());
            records.values.push(letter.value.as_deref());
            let headers = records.headers.as_mut().unwrap();
            headers.push(b"another", None);
            for (name, value) in headers_of(letter, "daily") {
                headers.push(name.as_bytes(), Some(value.as_bytes()));
            }
            headers.end_record();
        }
        records
    }

    #[test]
    fn a_letter_reads_back_from_its_record() {
        let dead = KeptLetter {
            topic: "ticks".into(),
            partition: 2,
            offset: 1 << 40,
            timestamp_ms: Some(5),
            value: Some(b"{".to_vec()),
            kind: "malformed-json".into(),
            message: "größer".into(),
            stage: "parse".into(),
            plugin_digest: Some("ab".repeat(32)),
            epoch: 7,
            ..KeptLetter::default()
        };
        let late = KeptLetter {
            key: Some(Vec::new()),
            value: None,
            timestamp_ms: None,
            aggregate: Some("daily".into()),
            missed: Some(Missed { start_ms: -1, end_ms: 2, late_by_ms: 3 }),
            ..dead.clone()
        };
        let records = records(&[&dead, &late]);
        assert_eq!(letter_of(&records, 0, "daily"), Some(dead));
        assert_eq!(letter_of(&records, 1, "daily"), Some(late));
        assert_eq!(letter_of(&records, 1, "hourly"), None);
        assert_eq!(letter_of(&Records { headers: None, ..records }, 0, "daily"), None);
    }
}
