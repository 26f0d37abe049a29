//! What a table function is: arguments read when the call is bound, rows made when it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use duckdb::ffi;

use crate::error::{Error, Result};
use crate::functions::arguments::{Arguments, handed_over};
use crate::functions::caller::{Caller, Context};
use crate::functions::host::{Chunk, Type, Vector, c_string, contain, drop_box};
use crate::ids::IdKind;
use crate::runtime::{Wanted, panic_if_asked};
use crate::store::Database;

/// A column of a result.
pub type Column = (&'static str, Type);

/// A table function: a value of the type is one bound call, to be executed any number of times.
pub trait TableFunction: Sized + Send + Sync + 'static {
    /// The SQL name.
    const NAME: &'static str;
    /// The positional arguments; all are required.
    const POSITIONAL: &'static [&'static str];

    /// The named arguments; all are optional.
    fn named() -> Vec<&'static str> {
        Vec::new()
    }

    /// Reads and checks the arguments. Nothing is done yet: `EXPLAIN` and `PREPARE` come as far as this.
    fn bind(call: &Call<'_>, arguments: Arguments) -> Result<(Self, Vec<Column>)>;

    /// Begins one execution.
    fn start(&self, call: Execution) -> Result<Box<dyn Rows>>;
}

/// The rows of one execution.
pub trait Rows: Send {
    /// Writes the next rows; none are left when it writes none.
    fn next(&mut self, chunk: &mut Chunk) -> Result<()>;

    /// How many threads can write rows side by side.
    fn threads(&self) -> usize {
        1
    }

    /// The same rows for another thread: each is written by one of those that share them. `None` where one thread writes all.
    ///
    /// # Errors
    /// Whatever another thread needs and cannot have.
    fn share(&self) -> Result<Option<Box<dyn Rows>>> {
        Ok(None)
    }
}

/// Where a call that is being bound comes from.
pub struct Call<'a> {
    /// The database instance.
    pub database: &'a Arc<Database>,
    /// The caller's own context.
    pub context: &'a Context,
    /// The caller.
    pub caller: &'a Caller,
}

/// Where an execution belongs to.
pub struct Execution {
    /// The database instance.
    pub database: Arc<Database>,
    /// The caller, as it was when the call was bound.
    pub caller: Caller,
}

impl Execution {
    /// The library that the caller named when the call was bound, as far as that is allowed now.
    ///
    /// # Errors
    /// The connections were released.
    pub fn library(&self, named: Option<&str>) -> Result<Wanted> {
        let closed_by = self.database.reading(self.caller.connection_id)?.files_closed_by()?;
        Ok(Wanted { named: named.map(str::to_owned), closed_by })
    }
}

/// Makes a table function known to the host.
pub fn register<F: TableFunction>(connection: ffi::duckdb_connection, database: &Arc<Database>) -> Result<()> {
    let any = Type::Any.to_logical();
    // SAFETY: the function is built, registered (which copies it) and destroyed here; the extra info is freed by the host.
    let state = unsafe {
        let mut function = ffi::duckdb_create_table_function();
        ffi::duckdb_table_function_set_name(function, c_string(F::NAME).as_ptr());
        for _ in F::POSITIONAL {
            ffi::duckdb_table_function_add_parameter(function, any.raw());
        }
        for name in F::named() {
            ffi::duckdb_table_function_add_named_parameter(function, c_string(name).as_ptr(), any.raw());
        }
        let extra = Box::into_raw(Box::new(Arc::clone(database)));
        ffi::duckdb_table_function_set_extra_info(function, extra.cast(), Some(drop_box::<Arc<Database>>));
        ffi::duckdb_table_function_set_bind(function, Some(bind::<F>));
        ffi::duckdb_table_function_set_init(function, Some(init::<F>));
        ffi::duckdb_table_function_set_local_init(function, Some(init_of_thread));
        ffi::duckdb_table_function_set_function(function, Some(next));
        let state = ffi::duckdb_register_table_function(connection, function);
        ffi::duckdb_destroy_table_function(&mut function);
        state
    };
    if state == ffi::DuckDBSuccess {
        Ok(())
    } else {
        Err(Error::new(format!("the host refused the function {}", F::NAME)))
    }
}

struct Bound<F> {
    function: F,
    caller: Caller,
}

unsafe extern "C" fn bind<F: TableFunction>(info: ffi::duckdb_bind_info) {
    // SAFETY (all blocks of this function): `info` is the host's for this callback, and its extra info is what `register` set.
    let report = |message: &std::ffi::CStr| unsafe { ffi::duckdb_bind_set_error(info, message.as_ptr()) };
    contain(F::NAME, "bind", report, || {
        let database = unsafe { &*ffi::duckdb_bind_get_extra_info(info).cast::<Arc<Database>>() };
        let context = unsafe {
            let mut context = std::ptr::null_mut();
            ffi::duckdb_table_function_get_client_context(info, &mut context);
            Context::new(context)
        };
        let caller = context.caller();
        let positional = (0..F::POSITIONAL.len() as u64)
            .map(|index| unsafe { handed_over(ffi::duckdb_bind_get_parameter(info, index)) })
            .collect();
        let mut named = BTreeMap::new();
        for name in F::named() {
            let value = unsafe { ffi::duckdb_bind_get_named_parameter(info, c_string(name).as_ptr()) };
            if !value.is_null() {
                named.insert(name, unsafe { handed_over(value) });
            }
        }
        let arguments = Arguments::new(F::POSITIONAL, positional, named);
        let call = Call { database, context: &context, caller: &caller };
        let (function, columns) = F::bind(&call, arguments).map_err(|error| error.context(F::NAME))?;
        for (name, column) in columns {
            let logical = column.to_logical();
            unsafe { ffi::duckdb_bind_add_result_column(info, c_string(name).as_ptr(), logical.raw()) };
        }
        let bound = Box::into_raw(Box::new(Bound { function, caller }));
        unsafe { ffi::duckdb_bind_set_bind_data(info, bound.cast(), Some(drop_box::<Bound<F>>)) };
        Ok(())
    });
}

struct Running {
    name: &'static str,
    n_threads: usize,
    rows: Mutex<Box<dyn Rows>>,
}

/// The rows of one thread, where they are shared; `None` until it writes the first.
type OfThread = Option<Box<dyn Rows>>;

unsafe extern "C" fn init<F: TableFunction>(info: ffi::duckdb_init_info) {
    // SAFETY (all blocks of this function): `info` is the host's for this callback; extra info and bind data are what
    // `register` and `bind` set.
    let report = |message: &std::ffi::CStr| unsafe { ffi::duckdb_init_set_error(info, message.as_ptr()) };
    contain(F::NAME, "init", report, || {
        let database = unsafe { &*ffi::duckdb_init_get_extra_info(info).cast::<Arc<Database>>() };
        let bound = unsafe { &*ffi::duckdb_init_get_bind_data(info).cast::<Bound<F>>() };
        let execution = Execution { database: Arc::clone(database), caller: bound.caller.clone() };
        let rows = bound.function.start(execution).map_err(|error| error.context(F::NAME))?;
        let n_threads = rows.threads();
        let running = Box::new(Running { name: F::NAME, n_threads, rows: Mutex::new(rows) });
        unsafe {
            ffi::duckdb_init_set_max_threads(info, n_threads.max(1) as u64);
            ffi::duckdb_init_set_init_data(info, Box::into_raw(running).cast(), Some(drop_box::<Running>));
        }
        Ok(())
    });
}

/// Runs once a thread, which cannot see here what `init` set.
unsafe extern "C" fn init_of_thread(info: ffi::duckdb_init_info) {
    // SAFETY (all blocks of this function): `info` is the host's for this callback.
    let report = |message: &std::ffi::CStr| unsafe { ffi::duckdb_init_set_error(info, message.as_ptr()) };
    contain("thread", "init", report, || {
        let of_thread: Box<OfThread> = Box::default();
        unsafe {
            ffi::duckdb_init_set_init_data(info, Box::into_raw(of_thread).cast(), Some(drop_box::<OfThread>));
        }
        Ok(())
    });
}

unsafe extern "C" fn next(info: ffi::duckdb_function_info, output: ffi::duckdb_data_chunk) {
    // SAFETY (all blocks of this function): `info` and `output` are the host's for this callback; the init data is what
    // `init` set, and that of the thread, which no other thread uses, what `init_of_thread` set.
    let report = |message: &std::ffi::CStr| unsafe { ffi::duckdb_function_set_error(info, message.as_ptr()) };
    contain("rows", "next", report, || {
        let running = unsafe { &*ffi::duckdb_function_get_init_data(info).cast::<Running>() };
        panic_if_asked(running.name, "next");
        let mut chunk = unsafe { Chunk::new(output) };
        chunk.set_len(0);
        let of_all = || running.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let of_thread = unsafe { &mut *ffi::duckdb_function_get_local_init_data(info).cast::<OfThread>() };
        if of_thread.is_none() && running.n_threads > 1 {
            *of_thread = of_all().share().map_err(|error| error.context(running.name))?;
        }
        match of_thread {
            Some(rows) => rows.next(&mut chunk),
            None => of_all().next(&mut chunk),
        }
        .map_err(|error| error.context(running.name))
    });
}

/// The type of a column of ids.
pub fn id_column(kind: IdKind) -> Type {
    match kind {
        IdKind::Integer => Type::Bigint,
        IdKind::Text => Type::Varchar,
    }
}

/// One value of a small result.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// `BOOLEAN`.
    Boolean(bool),
    /// `INTEGER`.
    Integer(i32),
    /// `BIGINT`.
    Bigint(i64),
    /// `FLOAT`.
    Float(f32),
    /// `DOUBLE`.
    Double(f64),
    /// `VARCHAR`.
    Text(String),
    /// `TIMESTAMP`, microseconds since 1970 in UTC.
    Timestamp(i64),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Cell::Double(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.to_owned())
    }
}

impl Cell {
    /// Writes the value to a row of a column of the type `declared`.
    ///
    /// # Errors
    /// A value of another type: written all the same, it would be read as what it is not.
    pub fn write(&self, declared: &Type, column: Vector, row: usize) -> Result<()> {
        match (self, declared) {
            (Cell::Null, _) => column.set_null(row),
            (Cell::Boolean(value), Type::Boolean) => column.set(row, *value),
            (Cell::Integer(value), Type::Integer) => column.set(row, *value),
            (Cell::Bigint(value), Type::Bigint) | (Cell::Timestamp(value), Type::Timestamp) => column.set(row, *value),
            (Cell::Float(value), Type::Float) => column.set(row, *value),
            (Cell::Double(value), Type::Double) => column.set(row, *value),
            (Cell::Text(value), Type::Varchar) => column.set_text(row, value),
            (other, declared) => return Err(Error::new(format!("{other:?} came where {declared:?} was declared"))),
        }
        Ok(())
    }
}

/// A small result that is known whole when the execution begins.
pub struct Cells {
    types: Vec<Type>,
    rows: std::vec::IntoIter<Vec<Cell>>,
}

impl Cells {
    /// Rows with a cell for each column, in the columns' types or NULL.
    pub fn rows(columns: &[Column], rows: Vec<Vec<Cell>>) -> Box<dyn Rows> {
        let types = columns.iter().map(|(_, declared)| declared.clone()).collect();
        Box::new(Self { types, rows: rows.into_iter() })
    }
}

impl Rows for Cells {
    fn next(&mut self, chunk: &mut Chunk) -> Result<()> {
        let mut n_rows = 0;
        for cells in self.rows.by_ref().take(Chunk::capacity()) {
            for (column, (cell, declared)) in cells.iter().zip(&self.types).enumerate() {
                cell.write(declared, chunk.column(column), n_rows)?;
            }
            n_rows += 1;
        }
        chunk.set_len(n_rows);
        Ok(())
    }
}
