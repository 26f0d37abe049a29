//! What a scalar function is: rows in, rows out, with the models that this thread of this query has looked up.

use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use duckdb::ffi;

use crate::error::{Error, Result};
use crate::functions::caller::{Caller, Context};
use crate::functions::host::{Chunk, ReadColumn, Type, Vector, c_string, contain, drop_box};
use crate::functions::look_up::KnownPairs;
use crate::functions::prediction::predictor_of;
use crate::ids::{Id, IdKind};
use crate::ratings::Intake;
use crate::runtime::Wanted;
use crate::score::Predictor;
use crate::store::{Database, ModelName, StoredModel};

/// A scalar function that reads models. All are volatile, so that a prepared statement never answers from a model
/// since replaced, and a NULL argument gives NULL.
pub trait ScalarFunction: 'static {
    /// The SQL name.
    const NAME: &'static str;

    /// All ways to call it.
    fn overloads() -> Vec<Overload>;

    /// Fills `output` for every row of `input`.
    fn call(models: &mut Models, input: &Input, output: Vector) -> Result<()>;
}

/// One way to call a scalar function.
#[derive(Clone, Debug)]
pub struct Overload {
    /// The types of the arguments.
    pub parameters: Vec<Type>,
    /// The type of the result.
    pub returns: Type,
}

/// The arguments of a chunk of rows.
pub struct Input<'a> {
    len: usize,
    columns: Vec<ReadColumn>,
    parameters: &'a [Type],
}

impl<'a> Input<'a> {
    /// # Safety
    /// `chunk` stays as it is for as long as the result is used, and has columns of the types `parameters`.
    unsafe fn new(chunk: &Chunk, parameters: &'a [Type]) -> Self {
        // SAFETY: the caller's promise.
        let columns = (0..parameters.len()).map(|index| unsafe { ReadColumn::new(&chunk.column(index)) });
        Self { len: chunk.len(), columns: columns.collect(), parameters }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The number of arguments of the overload that was called.
    pub fn n_arguments(&self) -> usize {
        self.parameters.len()
    }

    /// Whether any argument of a row is NULL.
    pub fn any_null(&self, row: usize) -> bool {
        self.columns.iter().any(|column| column.is_null(row))
    }

    /// Whether any argument of any row may be NULL.
    pub fn may_have_nulls(&self) -> bool {
        self.columns.iter().any(ReadColumn::has_nulls)
    }

    /// Whether the overload has such an argument, of this type.
    pub fn is_of(&self, argument: usize, declared: &Type) -> bool {
        self.parameters.get(argument) == Some(declared)
    }

    /// The column of an argument.
    pub fn column(&self, argument: usize) -> &ReadColumn {
        &self.columns[argument]
    }

    /// An id that is not NULL.
    pub fn id(&self, argument: usize, row: usize) -> Result<Id<'_>> {
        let column = &self.columns[argument];
        match self.parameters[argument] {
            Type::Bigint => Ok(Id::Integer(column.get(row))),
            _ => column.text(row).map(Id::Text),
        }
    }

    /// The kind of an id argument.
    pub fn id_kind(&self, argument: usize) -> IdKind {
        match self.parameters[argument] {
            Type::Bigint => IdKind::Integer,
            _ => IdKind::Text,
        }
    }

    /// A text that is not NULL.
    pub fn text(&self, argument: usize, row: usize) -> Result<&str> {
        self.columns[argument].text(row)
    }

    /// A whole number that is not NULL.
    pub fn bigint(&self, argument: usize, row: usize) -> i64 {
        self.columns[argument].get(row)
    }

    /// A truth value that is not NULL.
    pub fn boolean(&self, argument: usize, row: usize) -> bool {
        self.columns[argument].get(row)
    }
}

/// Calls `each` for every row without a NULL, with the model that the argument `model_argument` names, or the default
/// one where the overload has no such argument; all other rows of `output` become NULL.
pub fn for_each_row(
    models: &mut Models,
    input: &Input,
    model_argument: usize,
    output: Vector,
    mut each: impl FnMut(usize, &mut Loaded) -> Result<()>,
) -> Result<()> {
    for_each_model(models, input, model_argument, output, |rows, loaded| {
        rows.iter().try_for_each(|row| each(*row, loaded))
    })
}

/// The same for all neighbouring rows of one model at once.
pub fn for_each_model(
    models: &mut Models,
    input: &Input,
    model_argument: usize,
    output: Vector,
    mut each: impl FnMut(&[usize], &mut Loaded) -> Result<()>,
) -> Result<()> {
    // Kept from chunk to chunk.
    let mut rows = std::mem::take(&mut models.rows);
    rows.clear();
    if input.may_have_nulls() {
        for row in 0..input.len() {
            if input.any_null(row) { output.set_null(row) } else { rows.push(row) }
        }
    } else {
        rows.extend(0..input.len());
    }
    let is_named = input.n_arguments() > model_argument;
    let is_of_one_model = |one: &usize, other: &usize| {
        let names = input.columns.get(model_argument);
        names.is_none_or(|names| names.is_same_text(*one, *other) || names.bytes(*one) == names.bytes(*other))
    };
    for rows in rows.chunk_by(is_of_one_model) {
        let name = if is_named { input.text(model_argument, rows[0])? } else { ModelName::DEFAULT };
        each(rows, models.get(name)?)?;
    }
    models.rows = rows;
    Ok(())
}

/// An integer argument cannot name a text id: says so, with the cast that can.
pub fn expect_kind(what: &str, argument: IdKind, vocabulary: IdKind) -> Result<()> {
    if argument == IdKind::Integer && vocabulary == IdKind::Text {
        return Err(Error::new(format!(
            "the {what}s of this model are text, the argument is an integer; cast it: {what}::VARCHAR"
        )));
    }
    Ok(())
}

/// Reads `k`, the number of results asked for.
pub fn read_k(input: &Input, argument: usize, row: usize) -> Result<usize> {
    let k = input.bigint(argument, row);
    usize::try_from(k)
        .ok()
        .filter(|k| *k >= 1)
        .ok_or_else(|| Error::argument("k", k, "a whole number of at least 1", "it is the number of results"))
}

/// The overloads over both types of each id argument, with `rest` behind them, alone and with each of `optional`
/// added one by one.
pub fn overloads(n_ids: usize, rest: &[Type], optional: &[Type], returns: impl Fn(&Type) -> Type) -> Vec<Overload> {
    let mut ids: Vec<Vec<Type>> = vec![Vec::new()];
    for _ in 0..n_ids {
        ids = ids
            .iter()
            .flat_map(|known| [Type::Bigint, Type::Varchar].map(|id| [known.clone(), vec![id]].concat()))
            .collect();
    }
    let mut all = Vec::new();
    for ids in ids {
        for n_optional in 0..=optional.len() {
            let parameters = [&ids, rest, &optional[..n_optional]].concat();
            all.push(Overload { returns: returns(&parameters[0]), parameters });
        }
    }
    all
}

/// The models that one thread of one query uses, each looked up once.
pub struct Models {
    database: Arc<Database>,
    caller: Caller,
    /// The setting `cofi_onnxruntime`.
    library: Option<String>,
    found: HashMap<String, Loaded>,
    /// Room for the rows of a chunk.
    rows: Vec<usize>,
    /// A number of the thread.
    pub thread: usize,
}

/// A model that was looked up.
pub struct Loaded {
    /// All of it, of one moment.
    pub model: Arc<StoredModel>,
    /// Room for the pairs of a chunk.
    pub pairs: KnownPairs,
    predictor: Option<Predictor>,
    /// The database instance, and the host's number of the calling connection.
    caller: (Arc<Database>, u64),
    /// The setting `cofi_onnxruntime`.
    library: Option<String>,
}

impl Models {
    /// Where ratings go that this query reads, which shows `number`.
    ///
    /// # Errors
    /// A query that is not cofi's own.
    pub fn intake(&self, number: Option<u64>) -> Result<Arc<Intake>> {
        self.database.intake(self.caller.connection_id, number)
    }

    /// The model of a name as it is stored now, looked up once.
    ///
    /// # Errors
    /// No such model; a stored model that cannot be read.
    fn get(&mut self, name: &str) -> Result<&mut Loaded> {
        if !self.found.contains_key(name) {
            let Caller { connection_id, search_path } = &self.caller;
            let model = self.database.model(*connection_id, search_path, &ModelName::parse(name)?)?;
            let caller = (Arc::clone(&self.database), *connection_id);
            let library = self.library.clone();
            let loaded = Loaded { model, pairs: KnownPairs::default(), predictor: None, caller, library };
            self.found.insert(name.to_owned(), loaded);
        }
        self.found.get_mut(name).ok_or_else(|| Error::new("a model that was just looked up is gone"))
    }
}

impl Loaded {
    /// What predicts by the model; made when it is first asked for.
    ///
    /// # Errors
    /// A model with layers where no library can be used.
    pub fn predictor(&mut self) -> Result<&mut Predictor> {
        match &mut self.predictor {
            Some(predictor) => Ok(predictor),
            empty => {
                let (named, (database, connection_id)) = (self.library.clone(), &self.caller);
                let wanted = || Ok(Wanted { named, closed_by: database.reading(*connection_id)?.files_closed_by()? });
                Ok(empty.insert(predictor_of(&self.model, wanted)?))
            }
        }
    }
}

/// What the host keeps for an overload.
struct Registered {
    database: Arc<Database>,
    parameters: Vec<Type>,
    /// How many threads have called it.
    n_threads: AtomicUsize,
}

/// Makes a scalar function known to the host.
pub fn register<F: ScalarFunction>(connection: ffi::duckdb_connection, database: &Arc<Database>) -> Result<()> {
    let name = c_string(F::NAME);
    // SAFETY: functions and set are built, registered (which copies them) and destroyed here; the host frees the extra info.
    let state = unsafe {
        let mut set = ffi::duckdb_create_scalar_function_set(name.as_ptr());
        for overload in F::overloads() {
            let mut function = ffi::duckdb_create_scalar_function();
            ffi::duckdb_scalar_function_set_name(function, name.as_ptr());
            for parameter in &overload.parameters {
                ffi::duckdb_scalar_function_add_parameter(function, parameter.to_logical().raw());
            }
            ffi::duckdb_scalar_function_set_return_type(function, overload.returns.to_logical().raw());
            ffi::duckdb_scalar_function_set_volatile(function);
            // NULLs are handled here, row by row: a NULL answers before a model is looked for.
            ffi::duckdb_scalar_function_set_special_handling(function);
            let registered = Registered {
                database: Arc::clone(database),
                parameters: overload.parameters,
                n_threads: AtomicUsize::new(0),
            };
            let extra = Box::into_raw(Box::new(registered)).cast();
            ffi::duckdb_scalar_function_set_extra_info(function, extra, Some(drop_box::<Registered>));
            ffi::duckdb_scalar_function_set_init(function, Some(init));
            ffi::duckdb_scalar_function_set_function(function, Some(call::<F>));
            ffi::duckdb_add_scalar_function_to_set(set, function);
            ffi::duckdb_destroy_scalar_function(&mut function);
        }
        let state = ffi::duckdb_register_scalar_function_set(connection, set);
        ffi::duckdb_destroy_scalar_function_set(&mut set);
        state
    };
    if state == ffi::DuckDBSuccess {
        Ok(())
    } else {
        Err(Error::new(format!("the host refused the function {}", F::NAME)))
    }
}

/// Runs once a thread a query.
unsafe extern "C" fn init(info: ffi::duckdb_init_info) {
    // SAFETY (all blocks of this function): `info` is the host's for this callback; the extra info is what `register` set.
    let report = |message: &CStr| unsafe { ffi::duckdb_scalar_function_init_set_error(info, message.as_ptr()) };
    contain("scalar", "init", report, || {
        let registered = unsafe { &*ffi::duckdb_scalar_function_init_get_extra_info(info).cast::<Registered>() };
        let context = unsafe {
            let mut context = std::ptr::null_mut();
            ffi::duckdb_scalar_function_init_get_client_context(info, &mut context);
            Context::new(context)
        };
        let database = Arc::clone(&registered.database);
        let library = context.library();
        // Nothing else is read by what this number says.
        let thread = registered.n_threads.fetch_add(1, Ordering::Relaxed);
        let (caller, found, rows) = (context.caller(), HashMap::new(), Vec::new());
        let models = Box::new(Models { database, caller, library, found, rows, thread });
        unsafe {
            ffi::duckdb_scalar_function_init_set_state(info, Box::into_raw(models).cast(), Some(drop_box::<Models>))
        };
        Ok(())
    });
}

unsafe extern "C" fn call<F: ScalarFunction>(
    info: ffi::duckdb_function_info,
    input: ffi::duckdb_data_chunk,
    output: ffi::duckdb_vector,
) {
    // SAFETY (all blocks of this function): the arguments are the host's for this callback; extra info and state are what
    // `register` and `init` set, the chunk's columns have the types that were registered, and the state belongs to this thread.
    let report = |message: &CStr| unsafe { ffi::duckdb_scalar_function_set_error(info, message.as_ptr()) };
    contain(F::NAME, "call", report, || {
        let registered = unsafe { &*ffi::duckdb_scalar_function_get_extra_info(info).cast::<Registered>() };
        let models = unsafe { &mut *ffi::duckdb_scalar_function_get_state(info).cast::<Models>() };
        let input = unsafe { Input::new(&Chunk::new(input), &registered.parameters) };
        F::call(models, &input, unsafe { Vector::new(output) }).map_err(|error| error.context(F::NAME))
    });
}
