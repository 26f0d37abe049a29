//! The C API's callbacks, vectors and values in safe clothes; the home of nearly all `unsafe` of this crate.

use std::any::Any;
use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use duckdb::ffi;

use crate::ending;
use crate::error::{Error, Result};
use crate::runtime::panic_if_asked;

/// The type of a column or of a scalar's argument or result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Whatever the caller gives.
    Any,
    /// `BOOLEAN`.
    Boolean,
    /// `INTEGER`.
    Integer,
    /// `BIGINT`.
    Bigint,
    /// `FLOAT`.
    Float,
    /// `DOUBLE`.
    Double,
    /// `VARCHAR`.
    Varchar,
    /// `TIMESTAMP`.
    Timestamp,
    /// `FLOAT[]`.
    FloatList,
    /// `FLOAT[n]`.
    FloatArray(usize),
    /// `MAP(key, value)`: written as a list of structs of both.
    Map(Box<Type>, Box<Type>),
    /// `LIST(STRUCT(...))`.
    StructList(Vec<(&'static str, Type)>),
}

impl Type {
    /// The host's own form of the type.
    pub fn to_logical(&self) -> Logical {
        let simple = |id| {
            // SAFETY: `id` is one of the host's plain types.
            Logical(unsafe { ffi::duckdb_create_logical_type(id) })
        };
        match self {
            Type::Any => simple(ffi::DUCKDB_TYPE_DUCKDB_TYPE_ANY),
            Type::Boolean => simple(ffi::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN),
            Type::Integer => simple(ffi::DUCKDB_TYPE_DUCKDB_TYPE_INTEGER),
            Type::Bigint => simple(ffi::DUCKDB_TYPE_DUCKDB_TYPE_BIGINT),
            Type::Float => simple(ffi::DUCKDB_TYPE_DUCKDB_TYPE_FLOAT),
            Type::Double => simple(ffi::DUCKDB_TYPE_DUCKDB_TYPE_DOUBLE),
            Type::Varchar => simple(ffi::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR),
            Type::Timestamp => simple(ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP),
            Type::FloatList => Type::Float.to_logical().list(),
            Type::FloatArray(size) => {
                let element = Type::Float.to_logical();
                // SAFETY: the element type is valid; the host copies it.
                Logical(unsafe { ffi::duckdb_create_array_type(element.0, *size as u64) })
            }
            Type::Map(key, value) => {
                let (key, value) = (key.to_logical(), value.to_logical());
                // SAFETY: both types are valid; the host copies them.
                Logical(unsafe { ffi::duckdb_create_map_type(key.0, value.0) })
            }
            Type::StructList(fields) => {
                let names: Vec<_> = fields.iter().map(|(name, _)| c_string(name)).collect();
                let types: Vec<_> = fields.iter().map(|(_, field)| field.to_logical()).collect();
                let mut name_pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
                let mut type_pointers: Vec<_> = types.iter().map(|field| field.0).collect();
                // SAFETY: both arrays have a valid element for each field; the host copies them.
                let fields = Logical(unsafe {
                    ffi::duckdb_create_struct_type(
                        type_pointers.as_mut_ptr(),
                        name_pointers.as_mut_ptr(),
                        type_pointers.len() as u64,
                    )
                });
                fields.list()
            }
        }
    }
}

/// A type in the host's own form.
pub struct Logical(ffi::duckdb_logical_type);

impl Logical {
    /// The host's handle, valid as long as `self` is.
    pub fn raw(&self) -> ffi::duckdb_logical_type {
        self.0
    }

    fn list(self) -> Logical {
        // SAFETY: the element type is valid; the host copies it.
        Logical(unsafe { ffi::duckdb_create_list_type(self.0) })
    }
}

impl Drop for Logical {
    fn drop(&mut self) {
        // SAFETY: it was created by the host and is destroyed once.
        unsafe { ffi::duckdb_destroy_logical_type(&mut self.0) };
    }
}

/// Runs a callback of the host, a stage of what has a name: an error or a panic becomes a message, and nothing unwinds into C.
pub fn contain(name: &str, stage: &str, report: impl FnOnce(&CStr), callback: impl FnOnce() -> Result<()>) {
    let asked = || {
        panic_if_asked(name, stage);
        callback()
    };
    let message = match catch_unwind(AssertUnwindSafe(asked)) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => chain(&error),
        Err(panic) => format!("cofi failed unexpectedly (please report it): {}", panic_message(panic.as_ref())),
    };
    ending::stay_out();
    report(&c_string(&message));
}

/// Text as a C string; a NUL inside is shown, not cut at.
pub fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\\0")).unwrap_or_default()
}

/// Frees what [`Box::into_raw`] gave to the host.
///
/// # Safety
/// `pointer` came from `Box::<T>::into_raw` and is not used again. The host may call from any thread.
pub unsafe extern "C" fn drop_box<T: Send>(pointer: *mut c_void) {
    // A destructor has nobody to report to; that it does not unwind into C is what matters.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller's promise.
        let value = unsafe { Box::from_raw(pointer.cast::<T>()) };
        panic_if_asked("values", "drop");
        drop(value);
    }));
}

/// An error and its causes in one line.
fn chain(error: &Error) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    message
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&'static str>().copied())
        .unwrap_or("no message")
}

/// A chunk of rows that the host gives for the length of a callback.
pub struct Chunk(ffi::duckdb_data_chunk);

impl Chunk {
    /// # Safety
    /// `chunk` stays valid as long as the result is used.
    pub unsafe fn new(chunk: ffi::duckdb_data_chunk) -> Self {
        Self(chunk)
    }

    /// The number of rows in it.
    pub fn len(&self) -> usize {
        // SAFETY: the chunk is valid, as `new` was promised.
        unsafe { ffi::duckdb_data_chunk_get_size(self.0) as usize }
    }

    /// Sets the number of rows written; at most [`Chunk::capacity`].
    pub fn set_len(&mut self, n_rows: usize) {
        // SAFETY: the chunk is valid, as `new` was promised.
        unsafe { ffi::duckdb_data_chunk_set_size(self.0, n_rows as u64) };
    }

    /// The rows that fit.
    pub fn capacity() -> usize {
        // SAFETY: a constant of the host.
        unsafe { ffi::duckdb_vector_size() as usize }
    }

    /// A column.
    pub fn column(&self, index: usize) -> Vector<'_> {
        // SAFETY: the chunk is valid; the functions of this crate only ask for columns they declared.
        Vector::of(unsafe { ffi::duckdb_data_chunk_get_vector(self.0, index as u64) })
    }
}

/// A column of a chunk to read. Where it lies is asked once: asking the host again for each row costs as much as a short row does.
///
/// Rows are below the chunk's length, and the accessor fits the declared type: every function of this crate keeps to the columns
/// that it declared.
pub struct ReadColumn {
    data: *const c_void,
    /// A bit for every row, 64 in a word, 0 where it is NULL; a null pointer where no row is.
    validity: *const u64,
}

impl ReadColumn {
    /// # Safety
    /// The chunk that `vector` belongs to stays as it is for as long as the result is used.
    pub unsafe fn new(vector: &Vector<'_>) -> Self {
        // SAFETY: the vector is valid; nothing is read yet.
        unsafe { Self { data: vector.data::<c_void>(), validity: ffi::duckdb_vector_get_validity(vector.0) } }
    }

    /// Whether a row is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        // SAFETY: a column without NULLs has no mask; one with NULLs has a bit for every row.
        !self.validity.is_null() && unsafe { self.validity.add(row / 64).read() } >> (row % 64) & 1 == 0
    }

    /// The value of a row of a fixed-width type.
    pub fn get<T: FixedWidth>(&self, row: usize) -> T {
        // SAFETY: see the type's doc.
        unsafe { self.data.cast::<T>().add(row).read() }
    }

    /// Whether any row may be NULL.
    pub fn has_nulls(&self) -> bool {
        !self.validity.is_null()
    }

    /// The values of consecutive rows of a fixed-width type.
    pub fn slice<T: FixedWidth>(&self, rows: Range<usize>) -> &[T] {
        // SAFETY: see the type's doc; the chunk stays as it is as long as `self` is used.
        unsafe { std::slice::from_raw_parts(self.data.cast::<T>().add(rows.start), rows.len()) }
    }

    /// The text of a row.
    pub fn text(&self, row: usize) -> Result<&str> {
        std::str::from_utf8(self.bytes(row)).map_err(|error| Error::new("a text is not valid UTF-8").with_source(error))
    }

    /// The bytes of the text of a row.
    pub fn bytes(&self, row: usize) -> &[u8] {
        // SAFETY: the row holds a string of the host, which lives as long as the callback's chunk: its length, then up to 12 bytes, or
        // 4 of them and a pointer to all.
        unsafe {
            let string = self.data.cast::<ffi::duckdb_string_t>().add(row);
            let inlined = &(*string).value.inlined;
            let length = inlined.length as usize;
            let data = if length <= inlined.inlined.len() {
                inlined.inlined.as_ptr()
            } else {
                (*string).value.pointer.ptr.cast_const()
            };
            std::slice::from_raw_parts(data.cast::<u8>(), length)
        }
    }

    /// Whether two rows hold the same text for sure: in the row itself, or in one place.
    pub fn is_same_text(&self, row: usize, other: usize) -> bool {
        // SAFETY: a string of the host is 16 bytes, all of them set.
        unsafe {
            let strings = self.data.cast::<u128>();
            strings.add(row).read_unaligned() == strings.add(other).read_unaligned()
        }
    }
}

/// A column of a chunk to write.
///
/// Rows are below the chunk's capacity, and the accessor fits the declared type:
/// every function of this crate keeps to the columns that it declared.
#[derive(Clone, Copy)]
pub struct Vector<'a>(ffi::duckdb_vector, PhantomData<&'a ()>);

impl<'a> Vector<'a> {
    /// # Safety
    /// `vector` stays valid for `'a`.
    pub unsafe fn new(vector: ffi::duckdb_vector) -> Self {
        Self::of(vector)
    }

    /// A vector, or a part of one, that the caller knows to be valid for `'a`.
    fn of(vector: ffi::duckdb_vector) -> Self {
        Self(vector, PhantomData)
    }

    /// Makes a row NULL.
    pub fn set_null(self, row: usize) {
        // SAFETY: the mask is made writable before it is used.
        unsafe {
            ffi::duckdb_vector_ensure_validity_writable(self.0);
            ffi::duckdb_validity_set_row_invalid(ffi::duckdb_vector_get_validity(self.0), row as u64);
        }
    }

    /// Writes a row of a fixed-width type.
    pub fn set<T: FixedWidth>(self, row: usize, value: T) {
        // SAFETY: see the type's doc.
        unsafe { self.data::<T>().add(row).write(value) };
    }

    /// Writes rows of a fixed-width type, each with its place.
    pub fn set_each<T: FixedWidth>(self, rows: impl IntoIterator<Item = (usize, T)>) {
        // SAFETY: see the type's doc.
        unsafe {
            let data = self.data::<T>();
            rows.into_iter().for_each(|(row, value)| data.add(row).write(value));
        }
    }

    /// Writes consecutive rows of a fixed-width type.
    pub fn set_slice<T: FixedWidth>(self, first_row: usize, values: &[T]) {
        // SAFETY: see the type's doc; the host's memory does not overlap ours.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.data::<T>().add(first_row), values.len()) };
    }

    /// Writes the text of a row.
    pub fn set_text(self, row: usize, text: &str) {
        // SAFETY: the host copies the bytes.
        unsafe {
            ffi::duckdb_vector_assign_string_element_len(self.0, row as u64, text.as_ptr().cast(), text.len() as u64);
        }
    }

    /// The elements of an array column: row `r` has the elements from `r * size` on.
    pub fn array_child(self) -> Vector<'a> {
        // SAFETY: see the type's doc.
        Vector::of(unsafe { ffi::duckdb_array_vector_get_child(self.0) })
    }

    /// The column of a field of a struct.
    pub fn field(self, index: usize) -> Vector<'a> {
        // SAFETY: see the type's doc.
        Vector::of(unsafe { ffi::duckdb_struct_vector_get_child(self.0, index as u64) })
    }

    /// Appends `n_elements` to a list column as its value at `row`; they are written to the returned child vector from
    /// the returned position on.
    pub fn push_list(self, row: usize, n_elements: usize) -> Result<(Vector<'a>, usize)> {
        // SAFETY: see the type's doc; the child is fetched after the reservation, which may move it.
        unsafe {
            let first = ffi::duckdb_list_vector_get_size(self.0);
            let size = first + n_elements as u64;
            let reserved = ffi::duckdb_list_vector_reserve(self.0, size) == ffi::DuckDBSuccess
                && ffi::duckdb_list_vector_set_size(self.0, size) == ffi::DuckDBSuccess;
            if !reserved {
                return Err(Error::new(format!("the host could not make room for a list of {n_elements} elements")));
            }
            let entry = ffi::duckdb_list_entry { offset: first, length: n_elements as u64 };
            self.data::<ffi::duckdb_list_entry>().add(row).write(entry);
            Ok((Vector::of(ffi::duckdb_list_vector_get_child(self.0)), first as usize))
        }
    }

    /// # Safety
    /// The vector holds values of `T`, as the type's doc says.
    unsafe fn data<T>(self) -> *mut T {
        // SAFETY: the vector is valid, as `new` was promised.
        unsafe { ffi::duckdb_vector_get_data(self.0).cast() }
    }
}

/// Plain values that a vector holds as they are.
pub trait FixedWidth: Copy {}
impl FixedWidth for bool {}
impl FixedWidth for i32 {}
impl FixedWidth for i64 {}
impl FixedWidth for f32 {}
impl FixedWidth for f64 {}
