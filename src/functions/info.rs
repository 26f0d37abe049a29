//! `cofi_info()`: what is here, and what can be used.

use crate::error::Result;
use crate::functions::arguments::Arguments;
use crate::functions::host::Type;
use crate::functions::table::{Call, Cell, Cells, Column, Execution, Rows, TableFunction};
use crate::runtime::{Device, Driver, Gpu, Library, check_placement, provider_library, usable_devices};
use crate::store::host_version;
use crate::train::in_units;

/// The columns of the answer.
const COLUMNS: [Column; 2] = [("property", Type::Varchar), ("value", Type::Varchar)];

/// Versions, the library, and for each device whether it can be used or why not.
pub struct Info {
    /// The setting `cofi_onnxruntime`.
    library: Option<String>,
}

impl TableFunction for Info {
    const NAME: &'static str = "cofi_info";
    const POSITIONAL: &'static [&'static str] = &[];

    fn bind(call: &Call<'_>, _arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let library = call.context.library();
        Ok((Self { library }, COLUMNS.to_vec()))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let mut rows = vec![("cofi", env!("CARGO_PKG_VERSION").to_owned()), ("duckdb", host_version())];
        match Library::load(&call.library(self.library.as_deref())?) {
            Ok(library) => {
                rows.push(("onnxruntime", library.version().to_owned()));
                rows.push(("library", library.path().display().to_string()));
                rows.push(("library found", library.source().to_string()));
                rows.push((
                    "provider library",
                    match provider_library(library) {
                        Some(file) if file.is_file() => file.display().to_string(),
                        Some(file) => format!("missing: {}", file.display()),
                        None => "none: the library was built for the CPU".to_owned(),
                    },
                ));
                let driver = Driver::ask();
                // What is tried on a GPU first gives its free memory for nothing.
                let devices = usable_devices(library, &driver);
                rows.extend(gpus(&driver));
                rows.extend(devices.into_iter().map(|(device, usable)| ("device", state(library, device, usable))));
            }
            Err(reason) => rows.push(("onnxruntime", format!("not usable: {reason}"))),
        }
        Ok(Cells::rows(
            &COLUMNS,
            rows.into_iter().map(|(property, value)| vec![Cell::from(property), Cell::Text(value)]).collect(),
        ))
    }
}

/// Whether a device can be used and, where that is a GPU, whether it computes all of a training.
fn state(library: &'static Library, device: Device, usable: Result<()>) -> String {
    match usable.map(|()| check_placement(library, device)) {
        Ok(Ok(())) => format!("{device}: usable"),
        Ok(Err(reason)) => format!("{device}: usable, but not all of a training runs there: {reason}"),
        Err(reason) => format!("{device}: not usable: {reason}"),
    }
}

/// What the driver says, if there is one.
fn gpus(driver: &Result<Driver>) -> Vec<(&'static str, String)> {
    let driver = match driver {
        Ok(driver) => driver,
        Err(reason) => return vec![("driver", format!("none: {reason}"))],
    };
    let (major, minor) = driver.cuda;
    let gpus = driver.gpus.iter().enumerate().map(|(number, gpu)| ("gpu", about(driver, number as u32, gpu)));
    std::iter::once(("driver", format!("up to CUDA {major}.{minor}"))).chain(gpus).collect()
}

/// A GPU with its memory; how much of it is free only where that costs nothing.
fn about(driver: &Driver, number: u32, gpu: &Gpu) -> String {
    let all = format!("cuda:{number}: {}, {}", gpu.name, in_units(gpu.memory_bytes));
    match driver.is_in_use(number).and_then(|is_in_use| is_in_use.then(|| driver.free_bytes(number)).transpose()) {
        Ok(Some(free)) => format!("{all}, of which {} free", in_units(free)),
        Ok(None) => all,
        Err(reason) => format!("{all}, of which an unknown part is free: {reason}"),
    }
}
