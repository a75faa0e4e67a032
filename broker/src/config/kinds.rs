//! Kinds and bounds of Kafka's configuration values (classes `ConfigDef` and `ConfigDef.Range`).

/// Type of a value, as DescribeConfigs numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Kind {
    /// `true` or `false`.
    Boolean = 1,
    /// Any text.
    String = 2,
    /// 32 bits.
    Int = 3,
    /// 16 bits.
    Short = 4,
    /// 64 bits.
    Long = 5,
    /// A floating-point number.
    Double = 6,
    /// Texts separated by commas.
    List = 7,
    /// Name of a Java class; empty here.
    Class = 8,
    /// A secret: never shown.
    Password = 9,
}

/// What a value may be, beyond its kind.
#[derive(Clone, Copy, Debug)]
pub enum Bounds {
    /// Anything of its kind.
    Any,
    /// This number or more.
    AtLeast(i64),
    /// A number in this closed range.
    Between(i64, i64),
    /// A number in this closed range, in thousandths.
    Thousandths(i64, i64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any of these words, each at most once.
    ListOf(&'static [&'static str]),
}

impl Kind {
    /// Checks a value and returns it in its canonical spelling; the error says what is wrong with it.
    pub fn check(self, bounds: Bounds, value: &str) -> Result<String, String> {
        let value = value.trim();
        match self {
            Self::Boolean => match value.to_ascii_lowercase().as_str() {
                word @ ("true" | "false") => Ok(word.to_owned()),
                _ => Err("expected true or false".to_owned()),
            },
            Self::Int => check_integer(bounds, value, i64::from(i32::MIN), i64::from(i32::MAX)),
            Self::Short => check_integer(bounds, value, i64::from(i16::MIN), i64::from(i16::MAX)),
            Self::Long => check_integer(bounds, value, i64::MIN, i64::MAX),
            Self::Double => check_double(bounds, value),
            Self::List => check_list(bounds, value),
            Self::String | Self::Class | Self::Password => check_word(bounds, value),
        }
    }
}

/// The elements of a list value; an empty text has none.
pub fn list_items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn check_integer(bounds: Bounds, value: &str, min: i64, max: i64) -> Result<String, String> {
    let number: i64 = value.parse().map_err(|_| "expected a whole number".to_owned())?;
    let (low, high) = match bounds {
        Bounds::AtLeast(low) => (low, max),
        Bounds::Between(low, high) => (low, high),
        _ => (min, max),
    };
    if number < low {
        return Err(format!("value must be at least {low}"));
    }
    if high < number {
        return Err(format!("value must be no more than {high}"));
    }
    Ok(number.to_string())
}

fn check_double(bounds: Bounds, value: &str) -> Result<String, String> {
    let number: f64 = value.parse().map_err(|_| "expected a number".to_owned())?;
    if !number.is_finite() {
        return Err("expected a finite number".to_owned());
    }
    if let Bounds::Thousandths(low, high) = bounds {
        let scaled = number * 1000.0;
        if scaled < low as f64 || (high as f64) < scaled {
            return Err(format!(
                "value must be between {} and {}",
                low as f64 / 1000.0,
                high as f64 / 1000.0
            ));
        }
    }
    Ok(value.to_owned())
}

fn check_list(bounds: Bounds, value: &str) -> Result<String, String> {
    let items: Vec<&str> = list_items(value).collect();
    for (index, item) in items.iter().enumerate() {
        if items[..index].contains(item) {
            return Err(format!("'{item}' stands twice"));
        }
        if let Bounds::ListOf(words) = bounds
            && !words.contains(item)
        {
            return Err(format!("'{item}' is none of {}", words.join(", ")));
        }
    }
    Ok(items.join(","))
}

fn check_word(bounds: Bounds, value: &str) -> Result<String, String> {
    match bounds {
        Bounds::OneOf(words) if !words.contains(&value) => Err(format!("expected one of {}", words.join(", "))),
        _ => Ok(value.to_owned()),
    }
}
