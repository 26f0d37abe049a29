//! What a training owns of a side, between the graph's names and shapes and the layout of our operators.

use std::ops::Range;

use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::value::Tensor;

use crate::error::{Error, Result};
use crate::kernels::LANES;
use crate::kernels::factorisation::{Layout, Moment, Reach, Side as Lane, Table};
use crate::runtime::fused::past::Past;
use crate::runtime::fused::tables::lower::Owned;
use crate::runtime::fused::tables::recognise::Side;
use crate::runtime::memory::prefer_large_pages;

/// The tensors of a side, input and output of the session at once.
pub struct SideStates {
    index: &'static str,
    factors: &'static str,
    biases: Option<&'static str>,
    layout: Layout,
    reach: Reach,
    rows: Tensor<f32>,
    clocks: Tensor<i32>,
    /// Settles copies of rows for whoever reads a state.
    table: Table,
}

/// Where a state of the graph lies.
enum Place {
    /// In a plane of the rows: these lanes.
    Rows(usize, Range<usize>),
    /// The clocks.
    Clock,
    /// What decayed until then.
    LogDecay,
}

impl SideStates {
    /// States with the initial values of a graph's; `table` is of the side.
    pub fn new(side: &Side, reach: Reach, table: Table, initial: &[(String, Vec<f32>)]) -> ort::Result<Self> {
        let allocator = Allocator::default();
        let layout = side.layout;
        let mut states = Self {
            index: side.index,
            factors: side.values.name,
            biases: side.biases.as_ref().map(|biases| biases.name),
            layout,
            reach,
            rows: Tensor::new(&allocator, [layout.len()])?,
            clocks: Tensor::new(&allocator, [layout.n_rows()])?,
            table,
        };
        let rows = states.rows.extract_tensor_mut().1;
        prefer_large_pages(rows);
        rows.fill(0.0);
        states.clocks.extract_tensor_mut().1.fill(0);
        for (name, values) in initial {
            // The others begin at 0.
            if let Some(Place::Rows(plane, lanes)) = states.place(name) {
                let rows = states.rows.extract_tensor_mut().1;
                for (row, values) in values.chunks_exact(lanes.len()).enumerate() {
                    rows[layout.plane(row, plane)][lanes.clone()].copy_from_slice(values);
                }
            }
        }
        Ok(states)
    }

    /// Binds each tensor as input and outputs.
    pub fn bind(&mut self, binding: &mut IoBinding) -> ort::Result<()> {
        let (rows, clocks) = (Owned::rows(self.index), Owned::clocks(self.index));
        binding.bind_input(rows.before, &self.rows)?;
        binding.bind_input(clocks.before, &self.clocks)?;
        for name in [rows.read, rows.after] {
            binding.bind_output(name, &mut self.rows)?;
        }
        for name in [clocks.read, clocks.after] {
            binding.bind_output(name, &mut self.clocks)?;
        }
        Ok(())
    }

    /// The input of the row numbers of this side, and how many rows there are.
    pub fn rows(&self) -> (&'static str, usize) {
        (self.index, self.layout.n_rows())
    }

    /// A state of the graph, row by row; none where it does not lie here.
    pub fn read(&self, name: &str, past: &Past) -> Option<Vec<f32>> {
        let (_, clocks) = self.clocks.extract_tensor();
        Some(match self.place(name)? {
            Place::Rows(plane, lanes) => self.settled(plane, &lanes, past.unsettled()),
            Place::Clock => clocks.iter().map(|clock| *clock as f32).collect(),
            Place::LogDecay => clocks.iter().map(|clock| past.log_decay(*clock)).collect(),
        })
    }

    /// Lanes of a plane of all rows.
    fn settled(&self, plane: usize, lanes: &Range<usize>, moment: Option<Moment<'_>>) -> Vec<f32> {
        let layout = &self.layout;
        let rows = self.rows.extract_tensor().1.as_chunks::<LANES>().0;
        let mut copy = vec![[0.0; LANES]; layout.row_blocks()];
        let mut values = Vec::with_capacity(layout.n_rows() * lanes.len());
        for (row, clock) in rows.chunks_exact(copy.len()).zip(self.clocks.extract_tensor().1) {
            copy.copy_from_slice(row);
            if let Some(moment) = &moment {
                self.table.settle_copy(&mut copy, *clock, moment);
            }
            let plane = &copy[plane * layout.blocks()..][..layout.blocks()];
            values.extend_from_slice(&plane.as_flattened()[lanes.clone()]);
        }
        values
    }

    fn place(&self, name: &str) -> Option<Place> {
        let (table, of_table) = name.rsplit_once('.').map_or((name, None), |(table, rest)| (table, Some(rest)));
        let bias = self.layout.bias_lane(Lane::User);
        let lanes = match table {
            _ if table == self.factors => 0..self.layout.width,
            _ if Some(table) == self.biases => bias..bias + 1,
            _ => return None,
        };
        let plane = |plane| (plane < self.layout.planes()).then_some(Place::Rows(plane, lanes));
        match (of_table, self.reach) {
            (None, _) => plane(0),
            (Some("m"), _) => plane(1),
            (Some("v"), _) => plane(2),
            (Some("clock"), Reach::BatchRows) => Some(Place::Clock),
            (Some("log_decay"), Reach::BatchRows) => Some(Place::LogDecay),
            _ => None,
        }
    }
}

/// Makes sure that the rows of a batch are there.
///
/// # Errors
/// The first that is not.
pub fn check_rows(what: &str, rows: &[i32], n_rows: usize) -> Result<()> {
    match rows.iter().find(|row| !(0..n_rows as i64).contains(&i64::from(**row))) {
        Some(row) => Err(Error::new(format!("feed {what}: row {row} is not below {n_rows}"))),
        None => Ok(()),
    }
}
