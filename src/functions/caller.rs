//! Who calls: the settings and the catalog of the connection that a function was called from.

use std::ffi::CString;

use duckdb::ffi;
use duckdb::vtab::Value;

use crate::functions::host::c_string;
use crate::store::TableName;

/// What a function may know of its caller, read while the call is bound or its execution begins.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The host's number of the calling connection.
    pub connection_id: u64,
    /// The setting `search_path`; empty where it was never set.
    pub search_path: String,
}

/// The context of the calling connection, valid during one callback.
pub struct Context(ffi::duckdb_client_context);

impl Context {
    /// # Safety
    /// `context` is one that the host handed out in the running callback, to be destroyed by the receiver.
    pub unsafe fn new(context: ffi::duckdb_client_context) -> Self {
        Self(context)
    }

    /// Who calls.
    pub fn caller(&self) -> Caller {
        // SAFETY: the context is valid during the callback.
        let connection_id = unsafe { ffi::duckdb_client_context_get_connection_id(self.0) };
        Caller { connection_id, search_path: self.setting("search_path").unwrap_or_default() }
    }

    /// A setting of the caller as text; only settings that are known to exist are asked for.
    pub fn setting(&self, name: &str) -> Option<String> {
        let name = c_string(name);
        // SAFETY: the context is valid during the callback; the value is freed by its wrapper.
        let value =
            unsafe { ffi::duckdb_client_context_get_config_option(self.0, name.as_ptr(), std::ptr::null_mut()) };
        if value.is_null() {
            return None;
        }
        let value = Value::from(value);
        (!value.is_null()).then(|| value.to_string())
    }

    /// The setting `memory_limit` in bytes; `None` where the host does not say a number.
    pub fn memory_limit(&self) -> Option<u64> {
        bytes(&self.setting("memory_limit")?)
    }

    /// The setting `cofi_onnxruntime`: the ONNX Runtime that the caller names, where there is one.
    pub fn library(&self) -> Option<String> {
        self.setting("cofi_onnxruntime").filter(|path| !path.is_empty())
    }

    /// Whether the caller's own transaction sees a table or view, and whether it is temporary.
    ///
    /// `place` is the caller's current database and schema.
    pub fn look_up(&self, name: &TableName, place: &(String, String)) -> Option<Visibility> {
        let places: Vec<(String, String)> = match name.qualifiers() {
            [] => vec![("temp".into(), "main".into()), place.clone()],
            [only] => vec![(only.clone(), "main".into()), (place.0.clone(), only.clone())],
            [first, second, ..] => vec![(first.clone(), second.clone())],
        };
        places
            .iter()
            .find(|(catalog, schema)| self.has(catalog, schema, name.table()))
            .map(|(catalog, _)| if catalog == "temp" { Visibility::Temporary } else { Visibility::Uncommitted })
    }

    fn has(&self, catalog: &str, schema: &str, table: &str) -> bool {
        let (catalog, schema, table): (CString, CString, CString) =
            (c_string(catalog), c_string(schema), c_string(table));
        // SAFETY: the context is valid during the callback, within the caller's transaction; all that is handed out is freed.
        unsafe {
            let mut catalog = ffi::duckdb_client_context_get_catalog(self.0, catalog.as_ptr());
            if catalog.is_null() {
                return false;
            }
            let mut entry = ffi::duckdb_catalog_get_entry(
                catalog,
                self.0,
                ffi::duckdb_catalog_entry_type_DUCKDB_CATALOG_ENTRY_TYPE_TABLE,
                schema.as_ptr(),
                table.as_ptr(),
            );
            let found = !entry.is_null();
            ffi::duckdb_destroy_catalog_entry(&mut entry);
            ffi::duckdb_destroy_catalog(&mut catalog);
            found
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was handed out to be destroyed here, once.
        unsafe { ffi::duckdb_destroy_client_context(&mut self.0) };
    }
}

/// What the host's `18.6 GiB` says. It cuts what is behind the first place after the point, so the most that it may be.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: f64 = number.parse().ok()?;
    let power = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].iter().position(|name| *name == unit)?;
    // A number too large for the type becomes its largest.
    Some(((number + 0.1) * 1024f64.powi(power as i32)) as u64)
}

/// Why a table that the caller sees is not one that cofi's connection sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// A temporary table or view.
    Temporary,
    /// Created by the caller's transaction, which is not yet committed.
    Uncommitted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_host_writes_them() {
        // What DuckDB 2.0.0 shows for '2GB', '100MB', '20GiB', '-1'.
        for (text, least, most) in [
            ("1.8 GiB", 2_000_000_000, 2_100_000_000),
            ("95.3 MiB", 100_000_000, 100_100_000),
            ("20.0 GiB", 20 << 30, 21 << 30),
            ("16383.9 PiB", 16_383 << 50, u64::MAX),
            ("0 bytes", 0, 1),
        ] {
            let limit = bytes(text).unwrap();
            assert!((least..=most).contains(&limit), "{text}: {limit}");
        }
        assert_eq!([bytes(""), bytes("much"), bytes("1.8 GB"), bytes("x GiB")], [None; 4]);
    }
}
