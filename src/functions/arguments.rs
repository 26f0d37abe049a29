//! The arguments of a table function, taken one by one until none is left.

use std::collections::BTreeMap;
use std::ffi::CStr;

use duckdb::core::LogicalTypeId;
use duckdb::ffi;
use duckdb::vtab::Value;

use crate::error::{Error, Result, quoted};
use crate::store::ModelName;
use crate::train::OptionValue;

/// Positional and named arguments as the caller gave them.
pub struct Arguments {
    positional: BTreeMap<&'static str, OptionValue>,
    named: BTreeMap<&'static str, OptionValue>,
}

impl Arguments {
    /// Arguments under their names.
    pub fn new(names: &[&'static str], values: Vec<OptionValue>, named: BTreeMap<&'static str, OptionValue>) -> Self {
        Self { positional: names.iter().copied().zip(values).collect(), named }
    }

    /// Takes a positional argument.
    pub fn positional(&mut self, name: &'static str) -> OptionValue {
        self.positional.remove(name).unwrap_or(OptionValue::Null)
    }

    /// Takes a positional argument that is text.
    pub fn positional_text(&mut self, name: &'static str) -> Result<String> {
        match self.positional(name) {
            OptionValue::Text(text) => Ok(text),
            other => Err(Error::argument(name, other, "a text", "")),
        }
    }

    /// Takes a named argument; `None` where it was not given.
    pub fn named(&mut self, name: &str) -> Option<OptionValue> {
        self.named.remove(name)
    }

    /// Takes a named argument that is text; `None` where it was not given.
    pub fn named_text(&mut self, name: &str) -> Result<Option<String>> {
        match self.named(name) {
            None => Ok(None),
            Some(OptionValue::Text(text)) => Ok(Some(text)),
            Some(other) => Err(Error::argument(name, other, "a text", "leave it out for the default")),
        }
    }

    /// Takes `model := 'name'`.
    pub fn model(&mut self) -> Result<ModelName> {
        self.named_text("model")?.map_or_else(|| Ok(ModelName::default()), |name| ModelName::parse(&name))
    }

    /// All named arguments that nobody has taken.
    pub fn into_named(self) -> BTreeMap<&'static str, OptionValue> {
        self.named
    }
}

/// A value that the host hands over. The host's interface cuts a text at a NUL, and what is left of it is not what the caller said:
/// no argument takes it.
///
/// # Safety
/// `value` is one of the host's, not null, and is freed here.
pub unsafe fn handed_over(value: ffi::duckdb_value) -> OptionValue {
    // SAFETY: the caller's promise; the text is the host's to free.
    let literal = unsafe {
        let text = ffi::duckdb_value_to_string(value);
        let literal = (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned());
        ffi::duckdb_free(text.cast());
        literal
    };
    match argument_value(Value::from(value)) {
        OptionValue::Text(text) if literal != Some(format!("'{}'", text.replace('\'', "''"))) => {
            OptionValue::Other(format!("{}, cut at a NUL character", quoted(&text)))
        }
        other => other,
    }
}

/// A value of the host as plain data; what is neither number, text, truth value nor list goes as its text.
fn argument_value(value: Value) -> OptionValue {
    use LogicalTypeId::{
        Bigint, Boolean, Decimal, Double, Float, Hugeint, Integer, List, Smallint, Tinyint, UBigint, UHugeint,
        UInteger, USmallint, UTinyint, Varchar,
    };
    if value.is_null() {
        return OptionValue::Null;
    }
    match value.logical_type_id() {
        Boolean => OptionValue::Boolean(value.to_bool()),
        Tinyint | Smallint | Integer | Bigint | UTinyint | USmallint | UInteger => {
            OptionValue::Integer(value.to_int64())
        }
        UBigint | Hugeint | UHugeint | Decimal | Float | Double => {
            let text = value.to_string();
            match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(whole), _) if value.logical_type_id() != Double => OptionValue::Integer(whole),
                (_, Ok(real)) => OptionValue::Real(real),
                _ => OptionValue::Other(text),
            }
        }
        Varchar => OptionValue::Text(value.to_string()),
        List => match value.to_list() {
            Some(elements) => OptionValue::List(elements.into_iter().map(argument_value).collect()),
            None => OptionValue::Other(value.to_string()),
        },
        _ => OptionValue::Other(value.to_string()),
    }
}
