//! Prints the limits of this machine: `limits [THREADS ...]`, `limits --json [THREADS ...]`; on 1 thread and on all, if none are named.

use std::{env, thread};

use cofi_kernel_benches::limits::Limits;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let mut threads: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    if threads.is_empty() {
        threads = vec![1, thread::available_parallelism().map_or(1, usize::from)];
    }
    let all: Vec<Limits> = threads.into_iter().map(Limits::measured).collect();
    if json {
        println!("{}", serde_json::Value::from_iter(all.iter().map(Limits::json)));
    } else {
        all.iter().for_each(|limits| print!("{limits}"));
    }
}
