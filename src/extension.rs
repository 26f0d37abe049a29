//! The entry point that DuckDB calls when it loads the extension.

use std::ffi::CStr;

use duckdb::ffi;

use crate::error::{Error, Result};
use crate::functions::{self, c_string, contain};
use crate::store::{Database, KEEP_CONNECTION};

/// The C API that cofi needs: an older host refuses to load it.
const C_API_VERSION: &str = "v1.5.6";

/// Loads cofi into a database instance. Nothing is written.
///
/// # Safety
/// DuckDB calls this with pointers that are valid for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cofi_init_c_api(
    info: ffi::duckdb_extension_info,
    access: *const ffi::duckdb_extension_access,
) -> bool {
    let mut is_loaded = false;
    let report = |message: &CStr| {
        // SAFETY: the host's own table of functions, valid for the call.
        if let Some(set_error) = unsafe { (*access).set_error } {
            // SAFETY: as above; the host copies the message.
            unsafe { set_error(info, message.as_ptr()) };
        }
    };
    contain("extension", "load", report, || {
        // SAFETY: the caller's promise.
        is_loaded = unsafe { load(info, access) }?;
        Ok(())
    });
    is_loaded
}

/// # Safety
/// As for [`cofi_init_c_api`].
unsafe fn load(info: ffi::duckdb_extension_info, access: *const ffi::duckdb_extension_access) -> Result<bool> {
    // SAFETY: the caller's promise.
    let has_api = unsafe { ffi::duckdb_rs_extension_api_init(info, access, C_API_VERSION) }.map_err(Error::new)?;
    if !has_api {
        // The host is too old, and has said so itself.
        return Ok(false);
    }
    // SAFETY: the caller's promise.
    let get_database = unsafe { (*access).get_database }.ok_or_else(|| Error::new("the host gives no database"))?;
    // SAFETY: as the host documents it: `info` is its own; the handle is valid while the extension is being loaded.
    let database = unsafe { get_database(info) };
    if database.is_null() {
        return Ok(false);
    }
    // SAFETY: not null, and valid while the extension is being loaded.
    let handle = unsafe { *database };
    let registering = Registering::open(handle)?;
    registering.option(
        "cofi_onnxruntime",
        "the ONNX Runtime library to train with",
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR,
    )?;
    let keep = "keep cofi's connections when the database has no other (global)";
    registering.option(KEEP_CONNECTION, keep, ffi::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN)?;
    // SAFETY: the handle is valid while the extension is being loaded.
    let database = unsafe { Database::open(handle) }?;
    functions::register(registering.connection, &database)?;
    Ok(true)
}

/// A connection for the length of loading.
struct Registering {
    connection: ffi::duckdb_connection,
}

impl Registering {
    fn open(database: ffi::duckdb_database) -> Result<Self> {
        let mut connection = std::ptr::null_mut();
        // SAFETY: the handle is valid while the extension is being loaded.
        if unsafe { ffi::duckdb_connect(database, &mut connection) } != ffi::DuckDBSuccess {
            return Err(Error::new("cofi could not connect to the database that loads it"));
        }
        Ok(Self { connection })
    }

    /// Adds a setting, empty or false at first.
    fn option(&self, name: &str, meaning: &str, kind: ffi::duckdb_type) -> Result<()> {
        // SAFETY: the option and its parts are created, copied by the host and destroyed here.
        let state = unsafe {
            let mut option = ffi::duckdb_create_config_option();
            let mut logical = ffi::duckdb_create_logical_type(kind);
            let mut default = match kind {
                ffi::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN => ffi::duckdb_create_bool(false),
                _ => ffi::duckdb_create_varchar(c"".as_ptr()),
            };
            ffi::duckdb_config_option_set_name(option, c_string(name).as_ptr());
            ffi::duckdb_config_option_set_type(option, logical);
            ffi::duckdb_config_option_set_default_value(option, default);
            ffi::duckdb_config_option_set_default_scope(
                option,
                ffi::duckdb_config_option_scope_DUCKDB_CONFIG_OPTION_SCOPE_GLOBAL,
            );
            ffi::duckdb_config_option_set_description(option, c_string(meaning).as_ptr());
            let state = ffi::duckdb_register_config_option(self.connection, option);
            ffi::duckdb_destroy_value(&mut default);
            ffi::duckdb_destroy_logical_type(&mut logical);
            ffi::duckdb_destroy_config_option(&mut option);
            state
        };
        if state == ffi::DuckDBSuccess {
            Ok(())
        } else {
            Err(Error::new(format!("the host refused the setting {name}")))
        }
    }
}

impl Drop for Registering {
    fn drop(&mut self) {
        // SAFETY: it was connected once and is disconnected once.
        unsafe { ffi::duckdb_disconnect(&mut self.connection) };
    }
}
