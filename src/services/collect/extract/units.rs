//! Units, magnitudes and currencies, as they are written and as reports name them.

/// A unit as written, and as reports name it. Longer spellings first where one begins another.
const UNITS: &[(&str, &str)] = &[
    // Several words.
    ("cubic metres per second", "m³/s"),
    ("cubic meters per second", "m³/s"),
    ("kilometres per hour", "km/h"),
    ("kilometers per hour", "km/h"),
    ("metres per second", "m/s"),
    ("meters per second", "m/s"),
    ("miles per hour", "mph"),
    ("square kilometres", "km²"),
    ("square kilometers", "km²"),
    ("square metres", "m²"),
    ("square meters", "m²"),
    ("square miles", "sq mi"),
    ("square feet", "sq ft"),
    ("cubic kilometres", "km³"),
    ("cubic kilometers", "km³"),
    ("cubic metres", "m³"),
    ("cubic meters", "m³"),
    ("degrees Celsius", "°C"),
    ("degrees Fahrenheit", "°F"),
    ("percentage points", "pp"),
    ("requests per second", "requests/s"),
    ("parts per million", "ppm"),
    ("kilowatt hours", "kWh"),
    ("megawatt hours", "MWh"),
    ("gigawatt hours", "GWh"),
    ("terawatt hours", "TWh"),
    ("per cent", "%"),
    ("percent", "%"),
    ("sq km", "km²"),
    ("sq mi", "sq mi"),
    ("sq ft", "sq ft"),
    ("sq m", "m²"),
    ("light-years", "ly"),
    // Words.
    ("kilometres", "km"),
    ("kilometers", "km"),
    ("kilometre", "km"),
    ("kilometer", "km"),
    ("centimetres", "cm"),
    ("centimeters", "cm"),
    ("millimetres", "mm"),
    ("millimeters", "mm"),
    ("metres", "m"),
    ("meters", "m"),
    ("metre", "m"),
    ("meter", "m"),
    ("miles", "mi"),
    ("mile", "mi"),
    ("feet", "ft"),
    ("foot", "ft"),
    ("inches", "in"),
    ("inch", "in"),
    ("yards", "yd"),
    ("hectares", "ha"),
    ("acres", "acres"),
    ("litres", "L"),
    ("liters", "L"),
    ("gallons", "gal"),
    ("kilograms", "kg"),
    ("kilogram", "kg"),
    ("grams", "g"),
    ("milligrams", "mg"),
    ("tonnes", "t"),
    ("tons", "tons"),
    ("tonne", "t"),
    ("kilowatts", "kW"),
    ("megawatts", "MW"),
    ("gigawatts", "GW"),
    ("terawatts", "TW"),
    ("watts", "W"),
    ("volts", "V"),
    ("amperes", "A"),
    ("amps", "A"),
    ("hertz", "Hz"),
    ("kilobytes", "kB"),
    ("megabytes", "MB"),
    ("gigabytes", "GB"),
    ("terabytes", "TB"),
    ("kibibytes", "KiB"),
    ("mebibytes", "MiB"),
    ("gibibytes", "GiB"),
    ("bytes", "bytes"),
    ("byte", "bytes"),
    ("bits", "bits"),
    ("milliseconds", "ms"),
    ("millisecond", "ms"),
    ("microseconds", "µs"),
    ("nanoseconds", "ns"),
    ("seconds", "s"),
    ("second", "s"),
    ("minutes", "min"),
    ("minute", "min"),
    ("hours", "h"),
    ("hour", "h"),
    ("days", "days"),
    ("day", "days"),
    ("weeks", "weeks"),
    ("week", "weeks"),
    ("months", "months"),
    ("month", "months"),
    ("years", "years"),
    ("year", "years"),
    ("kelvin", "K"),
    ("decibels", "dB"),
    ("knots", "kn"),
    ("bar", "bar"),
    ("dollars", "USD"),
    ("euros", "EUR"),
    ("euro", "EUR"),
    ("yen", "JPY"),
    ("francs", "CHF"),
    ("pp", "pp"),
    // Symbols.
    ("m³/s", "m³/s"),
    ("m3/s", "m³/s"),
    ("km/h", "km/h"),
    ("km/s", "km/s"),
    ("m/s", "m/s"),
    ("km²", "km²"),
    ("km2", "km²"),
    ("km³", "km³"),
    ("km3", "km³"),
    ("cm²", "cm²"),
    ("cm³", "cm³"),
    ("m²", "m²"),
    ("m2", "m²"),
    ("m³", "m³"),
    ("m3", "m³"),
    ("km", "km"),
    ("cm", "cm"),
    ("mm", "mm"),
    ("µm", "µm"),
    ("nm", "nm"),
    ("mi²", "sq mi"),
    ("mi", "mi"),
    ("ft", "ft"),
    ("yd", "yd"),
    ("ha", "ha"),
    ("mph", "mph"),
    ("kg/m³", "kg/m³"),
    ("g/cm³", "g/cm³"),
    ("kg", "kg"),
    ("mg", "mg"),
    ("µg", "µg"),
    ("lb", "lb"),
    ("lbs", "lb"),
    ("oz", "oz"),
    ("°C", "°C"),
    ("°F", "°F"),
    ("° C", "°C"),
    ("° F", "°F"),
    ("°", "°"),
    ("kWh", "kWh"),
    ("MWh", "MWh"),
    ("GWh", "GWh"),
    ("TWh", "TWh"),
    ("Wh", "Wh"),
    ("kW", "kW"),
    ("MW", "MW"),
    ("GW", "GW"),
    ("TW", "TW"),
    ("kJ", "kJ"),
    ("MJ", "MJ"),
    ("kcal", "kcal"),
    ("kV", "kV"),
    ("mV", "mV"),
    ("mA", "mA"),
    ("kHz", "kHz"),
    ("MHz", "MHz"),
    ("GHz", "GHz"),
    ("Hz", "Hz"),
    ("kbit/s", "kbit/s"),
    ("Mbit/s", "Mbit/s"),
    ("Gbit/s", "Gbit/s"),
    ("Mbps", "Mbit/s"),
    ("Gbps", "Gbit/s"),
    ("MB/s", "MB/s"),
    ("GB/s", "GB/s"),
    ("KB", "kB"),
    ("kB", "kB"),
    ("MB", "MB"),
    ("GB", "GB"),
    ("TB", "TB"),
    ("PB", "PB"),
    ("KiB", "KiB"),
    ("MiB", "MiB"),
    ("GiB", "GiB"),
    ("TiB", "TiB"),
    ("ms", "ms"),
    ("µs", "µs"),
    ("μs", "µs"),
    ("ns", "ns"),
    ("sec", "s"),
    ("secs", "s"),
    ("min", "min"),
    ("mins", "min"),
    ("hrs", "h"),
    ("hPa", "hPa"),
    ("kPa", "kPa"),
    ("MPa", "MPa"),
    ("mbar", "mbar"),
    ("ppm", "ppm"),
    ("ppb", "ppb"),
    ("dB", "dB"),
    ("ly", "ly"),
    ("req/s", "requests/s"),
    ("rpm", "rpm"),
    ("Nm", "Nm"),
    ("kN", "kN"),
    ("ml", "mL"),
    ("mL", "mL"),
    ("%", "%"),
    ("‰", "‰"),
    ("s", "s"),
    ("h", "h"),
    ("m", "m"),
    ("g", "g"),
    ("t", "t"),
    ("l", "L"),
    ("L", "L"),
    ("V", "V"),
    ("W", "W"),
    ("A", "A"),
    ("K", "K"),
    ("J", "J"),
    ("N", "N"),
    ("€", "EUR"),
    ("$", "USD"),
    ("£", "GBP"),
    ("EUR", "EUR"),
    ("USD", "USD"),
    ("GBP", "GBP"),
    ("CHF", "CHF"),
    ("JPY", "JPY"),
    ("CNY", "CNY"),
    ("INR", "INR"),
    ("SEK", "SEK"),
    ("NOK", "NOK"),
    ("DKK", "DKK"),
    ("PLN", "PLN"),
    ("CAD", "CAD"),
    ("AUD", "AUD"),
];

/// A currency before a figure.
const CURRENCIES: [(&str, &str); 20] = [
    ("US$", "USD"),
    ("A$", "AUD"),
    ("C$", "CAD"),
    ("CA$", "CAD"),
    ("AU$", "AUD"),
    ("$", "USD"),
    ("€", "EUR"),
    ("£", "GBP"),
    ("¥", "JPY"),
    ("₹", "INR"),
    ("USD", "USD"),
    ("EUR", "EUR"),
    ("GBP", "GBP"),
    ("CHF", "CHF"),
    ("JPY", "JPY"),
    ("CNY", "CNY"),
    ("INR", "INR"),
    ("CAD", "CAD"),
    ("AUD", "AUD"),
    ("SEK", "SEK"),
];

/// Words that multiply a figure.
const MAGNITUDES: [(&str, f64); 18] = [
    ("thousand", 1e3),
    ("million", 1e6),
    ("billion", 1e9),
    ("trillion", 1e12),
    ("millions", 1e6),
    ("billions", 1e9),
    ("thousands", 1e3),
    ("mn", 1e6),
    ("bn", 1e9),
    ("lakh", 1e5),
    ("crore", 1e7),
    ("Million", 1e6),
    ("Millionen", 1e6),
    ("Mio.", 1e6),
    ("Mio", 1e6),
    ("Milliarden", 1e9),
    ("Mrd.", 1e9),
    ("Mrd", 1e9),
];
/// Letters that multiply a figure they touch.
const ATTACHED: [(&str, f64); 7] = [("bn", 1e9), ("k", 1e3), ("K", 1e3), ("M", 1e6), ("m", 1e6), ("B", 1e9), ("T", 1e12)];

fn ends_word(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '²' | '³' | '/' | '_'))
}

/// The longest unit that `text` begins with: its length as written, and its name.
pub(super) fn unit_at(text: &str) -> Option<(usize, &'static str)> {
    let hit = |written: &str| {
        let start = text.get(..written.len())?;
        let same = start == written || (written.len() > 4 && start.eq_ignore_ascii_case(written));
        (same && (ends_word(&text[written.len()..]) || written == "%")).then_some(())
    };
    UNITS.iter().filter(|(written, _)| hit(written).is_some()).max_by_key(|(written, _)| written.len()).map(|(written, name)| (written.len(), *name))
}

/// The whole text as a unit.
pub(super) fn unit(text: &str) -> Option<&'static str> {
    unit_at(text.trim()).filter(|(length, _)| *length == text.trim().len()).map(|(_, name)| name)
}

/// The currency that `text` ends with: where it begins, and its name.
pub(super) fn currency_before(text: &str) -> Option<(usize, &'static str)> {
    let trimmed = text.trim_end();
    if text.len() - trimmed.len() > 1 {
        return None;
    }
    CURRENCIES
        .iter()
        .filter(|(written, _)| {
            trimmed.ends_with(written) && !trimmed[..trimmed.len() - written.len()].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'))
        })
        .max_by_key(|(written, _)| written.len())
        .map(|(written, name)| (trimmed.len() - written.len(), *name))
}

/// The magnitude that `text` begins with: its length as written, and the factor.
pub(super) fn magnitude_at(text: &str) -> Option<(usize, f64)> {
    MAGNITUDES.iter().find(|(word, _)| text.starts_with(word) && ends_word(&text[word.len()..])).map(|(word, factor)| (word.len(), *factor))
}

/// The magnitude in a letter right after a figure. `money` admits all letters; other figures only thousands.
pub(super) fn attached_magnitude(text: &str, money: bool) -> Option<(usize, f64)> {
    ATTACHED
        .iter()
        .filter(|(letter, _)| money || matches!(*letter, "k" | "K"))
        .find(|(letter, _)| text.starts_with(letter) && ends_word(&text[letter.len()..]))
        .map(|(letter, factor)| (letter.len(), *factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unit_wins_and_words_are_whole() {
        assert_eq!(unit_at("m³/s in spring"), Some((5, "m³/s")));
        assert_eq!(unit_at("min."), Some((3, "min")));
        assert_eq!(unit_at("minor"), None);
        assert_eq!(unit_at("square kilometres"), Some((17, "km²")));
        assert_eq!(unit("km"), Some("km"));
        assert_eq!(currency_before("about US$"), Some((6, "USD")));
        assert_eq!(currency_before("MUSD"), None);
    }
}
