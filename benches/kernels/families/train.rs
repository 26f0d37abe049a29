//! A training step of factorisation: a batch with Adam, where only its rows move, and a block of ratings one by one.
//!
//! The limit is what the rules would move if every rating brought its own two rows from memory: 2,428 bytes of 50 factors, two
//! biases and what belongs to the rating with Adam, 828 without moments, at the rate of random updates of 200 bytes.

use cofi::kernels::factorisation::{
    Batch, Block, ClassicPass, History, Layout, Loss, Memory, Pace, Round, Settings, Side, State, Step,
};
use cofi::kernels::{Here, LANES, Level};
use cofi::rng::Rng;
use cofi_kernel_benches::limits::Access;
use cofi_kernel_benches::{Report, Work};

use super::inputs::FACTORS;

/// Batches that are gone through in turn.
const BATCHES: usize = 32;
const ADAM_BYTES: usize = 2_428;
const SGD_BYTES: usize = 828;

pub fn benches(report: &mut Report) {
    for (case, n_users, n_items, batch, cached) in [
        ("943 x 1,682, batch 128", 943, 1_682, 128, true),
        ("138,493 x 26,744, batch 16,384", 138_493, 26_744, 16_384, false),
    ] {
        let layout = Layout { n_users, n_items, width: FACTORS, memory: Memory::Both };
        let ratings = ratings(batch * BATCHES, n_users, n_items);
        let (mut rows, mut clocks) = (tables(layout), vec![0; layout.n_rows()]);
        let mut step = Step::new(Level::best(), layout, Loss::SquaredError, (0.3, Some((5.0, 0.5))), [true, true], 0.0);
        let mut logs = vec![0.0f32];
        let work = work(batch, ADAM_BYTES, cached, report);
        report.measure(("adam", case), work, || {
            let now = logs.len() as i32;
            let settings = settings(logs[logs.len() - 1]);
            let place = logs.len() % BATCHES * batch..(logs.len() % BATCHES + 1) * batch;
            let mut state = State { rows: &mut rows, clocks: &mut clocks, classes: &mut [] };
            let batch = Batch {
                users: &ratings.0[place.clone()],
                items: &ratings.1[place.clone()],
                ratings: &ratings.2[place],
                classes: &[],
                weights: &[],
                share: 1.0 / batch as f32,
            };
            let loss =
                step.run(&mut state, batch, &settings, History::LogDecays(&logs), now, &Here).expect("known rows");
            logs.push(settings.log_decay_now);
            loss
        });
    }
    for (case, n_users, n_items, n, cached) in [
        ("6,040 x 3,706", 6_040, 3_706, 65_536, true),
        ("138,493 x 26,744, in one block", 138_493, 26_744, 1 << 20, false),
    ] {
        let layout = Layout { n_users, n_items, width: FACTORS, memory: Memory::Nothing };
        let (users, items, ratings) = ratings(n, n_users, n_items);
        let mut rows = tables(layout);
        let mut pass = ClassicPass::new(Level::best(), layout, (0.3, Some((5.0, 0.5))), [true, true], 1.0);
        let round = Round {
            users: &users,
            items: &items,
            ratings: &ratings,
            weights: &[],
            borders: &[0, n as i32],
            user_rows: &[0, n_users as i32],
            item_rows: &[0, n_items as i32],
        };
        let work = work(n, SGD_BYTES, cached, report);
        report.measure(("classic", case), work, || {
            pass.run(&mut rows, &round, Pace { rate: 1e-3, decay: 0.9999 }, &Here).expect("known rows")
        });
    }
}

fn work(n: usize, bytes: usize, cached: bool, report: &Report) -> Work {
    Work {
        elements: (n as u64, "ratings"),
        flops: (n * 10 * FACTORS) as u64,
        bytes: (n * bytes) as u64,
        memory: (!cached).then(|| report.limits.random(Access::Update, 4 * FACTORS)),
    }
}

/// Rows of small random parameters.
fn tables(layout: Layout) -> Vec<Block> {
    let mut rng = Rng::new(1);
    let mut rows = vec![[0.0; LANES]; layout.n_rows() * layout.row_blocks()];
    for side in [Side::User, Side::Item] {
        for row in layout.rows_of(side) {
            let plane = &mut rows.as_flattened_mut()[layout.plane(row, 0)];
            plane[..FACTORS].fill_with(|| rng.truncated_normal(0.01) as f32);
            plane[layout.one_lane(side)] = 1.0;
        }
    }
    rows
}

/// Ratings of which some users and items have many.
fn ratings(n: usize, n_users: usize, n_items: usize) -> (Vec<i32>, Vec<i32>, Vec<f32>) {
    let mut rng = Rng::new(2);
    let mut rows =
        |below: usize| -> Vec<i32> { (0..n).map(|_| (rng.uniform() * rng.uniform() * below as f64) as i32).collect() };
    let (users, items) = (rows(n_users), rows(n_items));
    (users, items, (0..n).map(|place| (place % 5) as f32 + 1.0).collect())
}

fn settings(log_decay: f32) -> Settings {
    let (beta1, beta2, step_size, decay) = (0.9f32, 0.99f32, 1e-3, 0.9998f32);
    let ratio = beta1 / beta2.sqrt();
    Settings {
        beta1,
        gain1: 1.0 - beta1,
        beta2,
        gain2: 1.0 - beta2,
        step_size,
        epsilon: 1e-5,
        decay,
        log_beta1: beta1.ln(),
        log_beta2: beta2.ln(),
        log_ratio: ratio.ln(),
        tail: step_size * ratio / (1.0 - ratio),
        log_decay_before: log_decay,
        log_decay_now: log_decay + decay.ln(),
    }
}
