//! What a training owns, between the graph's names and shapes and the operator's layout.

use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::value::Tensor;

use crate::error::{Error, Result};
use crate::kernels::LANES;
use crate::kernels::factorisation::{Block, Layout, Loss, Reach, Side};
use crate::model::{CLASS_OFFSETS, CLASS_WEIGHTS, ITEM_BIAS, ITEM_FACTORS, USER_BIAS, USER_FACTORS};
use crate::runtime::fused::operator::{INPUTS, next_name};
use crate::runtime::memory::prefer_large_pages;
use crate::runtime::recognise::Factorisation;

/// The tensors, input and output of the session at once.
pub struct States {
    layout: Layout,
    reach: Reach,
    n_classes: usize,
    rows: Tensor<f32>,
    clocks: Tensor<i32>,
    classes: Tensor<f32>,
}

/// Where a state of the graph lies.
enum Place {
    /// In a plane of a side's rows: these lanes.
    Rows(Side, usize, std::ops::Range<usize>),
    /// The clocks of a side.
    Clock(Side),
    /// What decayed until then.
    LogDecay(Side),
    /// In the row of classes of a number, in a plane.
    Class(usize, usize),
}

impl States {
    /// States with the initial values of a graph's, zeros where it has none.
    pub fn new(factorisation: &Factorisation, initial: &[(String, Vec<f32>)]) -> ort::Result<Self> {
        let (layout, reach) = (factorisation.layout(), factorisation.reach());
        let n_classes = match factorisation.loss() {
            Loss::CrossEntropy(n_classes) => n_classes,
            Loss::SquaredError => 0,
        };
        let class_numbers = 2 * layout.planes() * n_classes.div_ceil(LANES) * LANES;
        let allocator = Allocator::default();
        let mut states = Self {
            layout,
            reach,
            n_classes,
            rows: Tensor::new(&allocator, [layout.len()])?,
            clocks: Tensor::new(&allocator, [layout.n_rows()])?,
            classes: Tensor::new(&allocator, [class_numbers])?,
        };
        let rows = states.rows.extract_tensor_mut().1;
        prefer_large_pages(rows);
        rows.fill(0.0);
        for side in [Side::User, Side::Item] {
            for row in layout.rows_of(side) {
                rows[layout.plane(row, 0)][layout.one_lane(side)] = 1.0;
            }
        }
        states.clocks.extract_tensor_mut().1.fill(0);
        states.classes.extract_tensor_mut().1.fill(0.0);
        for (name, values) in initial {
            states.write(name, values);
        }
        Ok(states)
    }

    /// Binds each tensor as input and output.
    pub fn bind(&mut self, binding: &mut IoBinding) -> ort::Result<()> {
        let [(rows, _), (clocks, _), (classes, _), ..] = INPUTS;
        binding.bind_input(rows, &self.rows)?;
        binding.bind_input(clocks, &self.clocks)?;
        binding.bind_input(classes, &self.classes)?;
        binding.bind_output(next_name(rows), &mut self.rows)?;
        binding.bind_output(next_name(clocks), &mut self.clocks)?;
        binding.bind_output(next_name(classes), &mut self.classes)
    }

    /// Binds the rows alone, where they are all that a training owns.
    pub fn bind_rows(&mut self, binding: &mut IoBinding) -> ort::Result<()> {
        let [(rows, _), ..] = INPUTS;
        binding.bind_input(rows, &self.rows)?;
        binding.bind_output(next_name(rows), &mut self.rows)
    }

    /// Makes sure that the rows of a batch are there.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_rows(&self, users: &[i32], items: &[i32]) -> Result<()> {
        for (what, rows, n_rows) in [("user", users, self.layout.n_users), ("item", items, self.layout.n_items)] {
            // Tables have fewer than 2^31 rows, and without its sign a negative number is not below that.
            let is_there = |row: &i32| (*row as u32) < n_rows as u32;
            // The first loop does not stop early, so that it takes several at once.
            if !rows.iter().fold(true, |all, row| all & is_there(row))
                && let Some(row) = rows.iter().find(|row| !is_there(row))
            {
                return Err(Error::new(format!("feed {what}: row {row} is not below {n_rows}")));
            }
        }
        Ok(())
    }

    /// A state of the graph, row by row: `settle` is given a copy of each row, its number and its clock before it is read, `log_decay` a clock.
    ///
    /// # Errors
    /// An unknown name.
    pub fn read(
        &self,
        name: &str,
        settle: impl Fn(&mut [Block], usize, i32),
        log_decay: impl Fn(i32) -> f32,
    ) -> Result<Vec<f32>> {
        let layout = &self.layout;
        let place = self.place(name).ok_or_else(|| Error::new(format!("graph: there is no state named {name}")))?;
        let (_, clocks) = self.clocks.extract_tensor();
        Ok(match place {
            Place::Rows(side, plane, lanes) => {
                let rows = self.rows.extract_tensor().1.as_chunks::<LANES>().0;
                let blocks = layout.row_blocks();
                let mut copy = vec![[0.0; LANES]; blocks];
                let mut values = Vec::with_capacity(layout.rows_of(side).len() * lanes.len());
                for row in layout.rows_of(side) {
                    copy.copy_from_slice(&rows[row * blocks..][..blocks]);
                    settle(&mut copy, row, clocks[row]);
                    let plane = &copy[plane * layout.blocks()..][..layout.blocks()];
                    values.extend_from_slice(&plane.as_flattened()[lanes.clone()]);
                }
                values
            }
            Place::Clock(side) => clocks[layout.rows_of(side)].iter().map(|clock| *clock as f32).collect(),
            Place::LogDecay(side) => clocks[layout.rows_of(side)].iter().map(|clock| log_decay(*clock)).collect(),
            Place::Class(row, plane) => {
                self.classes.extract_tensor().1[self.class_plane(row, plane)][..self.n_classes].to_vec()
            }
        })
    }

    fn write(&mut self, name: &str, values: &[f32]) {
        let layout = self.layout;
        match self.place(name) {
            Some(Place::Rows(side, plane, lanes)) => {
                let rows = self.rows.extract_tensor_mut().1;
                for (row, values) in layout.rows_of(side).zip(values.chunks_exact(lanes.len())) {
                    rows[layout.plane(row, plane)][lanes.clone()].copy_from_slice(values);
                }
            }
            Some(Place::Class(row, plane)) => {
                let place = self.class_plane(row, plane);
                self.classes.extract_tensor_mut().1[place][..values.len()].copy_from_slice(values);
            }
            // These begin at 0.
            Some(Place::Clock(_) | Place::LogDecay(_)) | None => {}
        }
    }

    /// The numbers of a plane of one of the two rows of classes.
    fn class_plane(&self, row: usize, plane: usize) -> std::ops::Range<usize> {
        let lanes = self.n_classes.div_ceil(LANES) * LANES;
        let start = (row * self.layout.planes() + plane) * lanes;
        start..start + lanes
    }

    fn place(&self, name: &str) -> Option<Place> {
        let plane_of = |plane| Some(plane).filter(|plane| *plane < self.layout.planes());
        let (table, plane) = match name.rsplit_once('.') {
            None => (name, Some(0)),
            Some((table, "m")) => (table, Some(plane_of(1)?)),
            Some((table, "v")) => (table, Some(plane_of(2)?)),
            Some((table, _)) => (table, None),
        };
        let rows = |side, lanes| match plane {
            Some(plane) => Some(Place::Rows(side, plane, lanes)),
            None if self.reach == Reach::EveryRow => None,
            None if name.ends_with(".clock") => Some(Place::Clock(side)),
            None => name.ends_with(".log_decay").then_some(Place::LogDecay(side)),
        };
        let bias = |side| self.layout.bias_lane(side)..self.layout.bias_lane(side) + 1;
        match table {
            USER_FACTORS => rows(Side::User, 0..self.layout.width),
            ITEM_FACTORS => rows(Side::Item, 0..self.layout.width),
            USER_BIAS => rows(Side::User, bias(Side::User)),
            ITEM_BIAS => rows(Side::Item, bias(Side::Item)),
            CLASS_WEIGHTS => plane.map(|plane| Place::Class(0, plane)),
            CLASS_OFFSETS => plane.map(|plane| Place::Class(1, plane)),
            _ => None,
        }
    }
}
