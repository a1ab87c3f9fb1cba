//! Times as JavaScript's `toISOString` prints them.

const MILLIS_PER_DAY: i64 = 86_400_000;

/// `2026-01-02T03:04:05.678Z`. Years outside 0 to 9999 have a sign and six digits.
pub fn rfc3339_millis(unix_ms: i64) -> String {
    let (year, month, day) = civil(unix_ms.div_euclid(MILLIS_PER_DAY));
    let millis = unix_ms.rem_euclid(MILLIS_PER_DAY);
    let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
    let (second, milli) = (millis / 1000 % 60, millis % 1000);
    let time = format_args!("{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z");
    if (0..=9999).contains(&year) { format!("{year:04}-{time}") } else { format!("{year:+07}-{time}") }
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`: years start in
/// March, eras have 400 years).
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    let days = days + 719_468;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
