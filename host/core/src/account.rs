//! The account: where every record and every row went. Each commit adds its own
//! to the process's, and checks that the terms add up. It counts; it does not
//! decide where a row goes, and it does not print itself.

use std::collections::BTreeMap;

/// Records and rows that went to the dead letters, by the stage that refused them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeadLettered {
    /// Records.
    pub parse: u64,
    /// Rows.
    pub transform: u64,
    /// Rows.
    pub clock: u64,
}

/// What one aggregate did with the rows that it was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AggregateAccount {
    /// Rows folded into a state.
    pub aggregated: u64,
    /// Rows of windows that were closed before.
    pub late: u64,
    /// Rows of windows that this aggregate did not see from the beginning.
    pub withheld: u64,
    /// Rows that it or its grouping refused.
    pub dead_lettered: u64,
}

/// What became of everything that was read. Terms are counts since the account began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    pub records_in: u64,
    pub records_parsed: u64,
    pub rows_parsed: u64,
    pub rows_filtered: u64,
    pub rows_offered: u64,
    pub dead_lettered: DeadLettered,
    /// Groups whose result is in the dead letters; their rows count as aggregated.
    pub groups_dead_lettered: u64,
    /// By the aggregate's name.
    pub aggregates: BTreeMap<String, AggregateAccount>,
}

/// A term that does not add up. It means that rows were lost or counted twice, so
/// the commit must not be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error(
        "the account does not add up: records_in is {records_in}, but dead_lettered.parse {dead_lettered} \
         + records_parsed {parsed} are {}; nothing was committed, please report this as a bug",
        dead_lettered + parsed
    )]
    Records { records_in: u64, dead_lettered: u64, parsed: u64 },
    #[error(
        "the account does not add up: rows_parsed is {rows_parsed}, but rows_filtered {filtered} \
         + dead_lettered.transform {transform} + dead_lettered.clock {clock} + rows_offered {offered} are {}; \
         nothing was committed, please report this as a bug",
        filtered + transform + clock + offered
    )]
    Rows { rows_parsed: u64, filtered: u64, transform: u64, clock: u64, offered: u64 },
    #[error(
        "the account of aggregate {name:?} does not add up: rows_offered is {offered}, but aggregated {} \
         + late {} + withheld {} + dead_lettered {} are {}; nothing was committed, please report this as a bug",
        account.aggregated, account.late, account.withheld, account.dead_lettered, account.rows()
    )]
    Aggregate { name: String, offered: u64, account: AggregateAccount },
}

impl AggregateAccount {
    /// The rows that this account explains.
    pub fn rows(&self) -> u64 {
        self.aggregated + self.late + self.withheld + self.dead_lettered
    }

    /// Adds another account of the same aggregate.
    pub fn add(&mut self, other: &Self) {
        self.aggregated += other.aggregated;
        self.late += other.late;
        self.withheld += other.withheld;
        self.dead_lettered += other.dead_lettered;
    }
}

impl Account {
    /// An account of nothing, with an entry for each aggregate.
    pub fn new<'a>(aggregates: impl IntoIterator<Item = &'a str>) -> Self {
        let entry = |name: &str| (name.to_owned(), AggregateAccount::default());
        Self { aggregates: aggregates.into_iter().map(entry).collect(), ..Self::default() }
    }

    /// The entry of aggregate `name`, made if there is none.
    pub fn aggregate(&mut self, name: &str) -> &mut AggregateAccount {
        self.aggregates.entry(name.to_owned()).or_default()
    }

    /// Adds another account: a worker's, or a commit's.
    pub fn add(&mut self, other: &Self) {
        self.records_in += other.records_in;
        self.records_parsed += other.records_parsed;
        self.rows_parsed += other.rows_parsed;
        self.rows_filtered += other.rows_filtered;
        self.rows_offered += other.rows_offered;
        self.dead_lettered.parse += other.dead_lettered.parse;
        self.dead_lettered.transform += other.dead_lettered.transform;
        self.dead_lettered.clock += other.dead_lettered.clock;
        self.groups_dead_lettered += other.groups_dead_lettered;
        for (name, account) in &other.aggregates {
            self.aggregate(name).add(account);
        }
    }

    /// Verifies the three equations.
    ///
    /// # Errors
    /// The first one that does not hold, with its terms.
    pub fn check(&self) -> Result<(), AccountError> {
        self.check_records()?;
        self.check_rows()?;
        self.aggregates.iter().try_for_each(|(name, account)| self.check_aggregate(name, account))
    }

    fn check_records(&self) -> Result<(), AccountError> {
        let (records_in, parsed, dead_lettered) =
            (self.records_in, self.records_parsed, self.dead_lettered.parse);
        if records_in == dead_lettered + parsed {
            return Ok(());
        }
        Err(AccountError::Records { records_in, dead_lettered, parsed })
    }

    fn check_rows(&self) -> Result<(), AccountError> {
        let DeadLettered { transform, clock, .. } = self.dead_lettered;
        let (rows_parsed, filtered, offered) = (self.rows_parsed, self.rows_filtered, self.rows_offered);
        if rows_parsed == filtered + transform + clock + offered {
            return Ok(());
        }
        Err(AccountError::Rows { rows_parsed, filtered, transform, clock, offered })
    }

    fn check_aggregate(&self, name: &str, account: &AggregateAccount) -> Result<(), AccountError> {
        if account.rows() == self.rows_offered {
            return Ok(());
        }
        Err(AccountError::Aggregate { name: name.to_owned(), offered: self.rows_offered, account: *account })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Account {
        let daily = AggregateAccount { aggregated: 5, late: 1, withheld: 0, dead_lettered: 1 };
        let hourly = AggregateAccount { aggregated: 3, late: 2, withheld: 2, dead_lettered: 0 };
        Account {
            records_in: 10,
            records_parsed: 8,
            rows_parsed: 12,
            rows_filtered: 2,
            rows_offered: 7,
            dead_lettered: DeadLettered { parse: 2, transform: 1, clock: 2 },
            groups_dead_lettered: 0,
            aggregates: [("daily".to_owned(), daily), ("hourly".to_owned(), hourly)].into(),
        }
    }

    #[test]
    fn an_account_that_adds_up_still_does_when_doubled() {
        let mut account = whole();
        account.check().unwrap();
        account.add(&whole());
        account.check().unwrap();
        assert_eq!(account.aggregates["hourly"].withheld, 4);
        let mut empty = Account::new(["daily"]);
        empty.check().unwrap();
        empty.add(&whole());
        assert_eq!(empty, whole());
    }

    #[test]
    fn the_term_that_does_not_add_up_is_named() {
        let check = |spoil: fn(&mut Account), named: &[&str]| {
            let mut account = whole();
            spoil(&mut account);
            let message = account.check().unwrap_err().to_string();
            named.iter().for_each(|part| assert!(message.contains(part), "{part}: {message}"));
        };
        check(|a| a.records_in += 1, &["records_in is 11", "records_parsed 8 are 10"]);
        check(|a| a.dead_lettered.parse -= 1, &["records_in is 10", "dead_lettered.parse 1"]);
        check(|a| a.rows_filtered += 1, &["rows_parsed is 12", "rows_filtered 3", "are 13"]);
        check(|a| a.dead_lettered.clock = 0, &["dead_lettered.clock 0", "are 10"]);
        check(|a| a.aggregate("hourly").late -= 1, &["\"hourly\"", "rows_offered is 7", "late 1", "are 6"]);
        check(|a| _ = a.aggregate("new"), &["\"new\"", "aggregated 0"]);
    }
}
