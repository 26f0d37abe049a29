//! LIBMF as a peer: gradient descent over ratings in blocks, one at a time. What is asked and answered: `protocol.py`.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, answer, options @ ..] = arguments.as_slice() else {
        return Err("libmf-peer FOLDER ANSWER name=value ...".into());
    };
    let options: HashMap<&str, &str> = options.iter().filter_map(|option| option.split_once('=')).collect();
    let number = |name: &str, default: f32| options.get(name).map_or(Ok(default), |value| value.parse::<f32>());
    let folder = Path::new(folder);
    let (users, items) = (column(folder, "train.users.i32")?, column(folder, "train.items.i32")?);
    let ratings = column(folder, "train.ratings.f32")?;

    let (begin, cpu) = (Instant::now(), cpu_seconds());
    let mut data = libmf::Matrix::with_capacity(users.len());
    for ((user, item), rating) in users.iter().zip(&items).zip(&ratings) {
        data.push(i32::from_le_bytes(*user), i32::from_le_bytes(*item), f32::from_le_bytes(*rating));
    }
    let lambda = number("lambda", 0.1)?;
    let fit = Instant::now();
    let model = libmf::Model::params()
        .factors(number("factors", 8.0)? as i32)
        .threads(number("threads", 1.0)? as i32)
        .iterations(number("iterations", 20.0)? as i32)
        .learning_rate(number("rate", 0.1)?)
        .lambda_p2(lambda)
        .lambda_q2(lambda)
        .quiet(true)
        .fit(&data)?;
    let (seconds, fit_seconds, cpu) = (begin.elapsed().as_secs_f64(), fit.elapsed().as_secs_f64(), cpu_seconds() - cpu);

    let (users, items) = (column(folder, "held.users.i32")?, column(folder, "held.items.i32")?);
    let predict = |(user, item): (&[u8; 4], &[u8; 4])| {
        model.predict(i32::from_le_bytes(*user), i32::from_le_bytes(*item)).to_le_bytes()
    };
    fs::write(answer, users.iter().zip(&items).flat_map(predict).collect::<Vec<u8>>())?;
    println!(r#"{{"seconds": {seconds}, "fit_seconds": {fit_seconds}, "cpu_seconds": {cpu}, "version": "0.4.0"}}"#);
    Ok(())
}

/// What all threads of this process have worked so far.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to `time` alone.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// An array of four-byte numbers.
fn column(folder: &Path, name: &str) -> Result<Vec<[u8; 4]>, Box<dyn Error>> {
    Ok(fs::read(folder.join(name))?.as_chunks::<4>().0.to_vec())
}
