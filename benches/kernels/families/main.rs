//! The benches: one file a family of loops. A new one is a file with `pub fn benches(report: &mut Report)` and its line in `main`.

mod inputs;
mod nearest;
mod predict;
mod train;

use cofi_kernel_benches::Report;
use criterion::Criterion;
use std::time::Duration;

fn main() {
    let criterion = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300));
    let mut report = Report::new(criterion.measurement_time(Duration::from_secs(1)).configure_from_args());
    predict::benches(&mut report);
    nearest::benches(&mut report);
    train::benches(&mut report);
    report.close();
}
