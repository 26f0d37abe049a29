//! Whether the file of a shared library is all there, before the system's loader maps it.
//!
//! The loader maps what an ELF file's header tells it to map, past the end of the file as well. Of a file that was cut short (a copy
//! that was interrupted, a disk that was full) the process then dies by a signal, where a user should read an error.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Makes sure that a file is as long as its header says, where it is an ELF file of this kind of machine. What else may be wrong with it, the loader
/// finds out itself.
///
/// # Errors
/// What is wrong, as text; a file that cannot be read.
pub fn check_is_whole(path: &Path) -> Result<(), String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    match needed_length(&mut file) {
        Ok(Some(needed)) if needed > length => {
            Err(format!("it is cut short: {length} bytes of at least {needed}; copy it anew"))
        }
        _ => Ok(()),
    }
}

/// The least length of a 64-bit little-endian ELF file, by its table of segments (System V ABI, "Program Header"); `None` for any other file.
fn needed_length(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    const HEADER: usize = 64;
    const SEGMENT: usize = 56;
    const LOADED: u32 = 1;
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(None);
    }
    let (table, entry, n_segments) = (long(&header, 32), short(&header, 54), short(&header, 56));
    let mut needed = table.saturating_add(u64::from(entry) * u64::from(n_segments));
    for number in 0..u64::from(n_segments) {
        let mut segment = [0; SEGMENT];
        file.seek(SeekFrom::Start(table.saturating_add(number * u64::from(entry))))?;
        if file.read_exact(&mut segment).is_err() {
            break; // the table itself is cut short
        }
        if segment[..4] == LOADED.to_le_bytes() {
            needed = needed.max(long(&segment, 8).saturating_add(long(&segment, 32)));
        }
    }
    Ok(Some(needed))
}

fn long(bytes: &[u8], place: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[place..place + 8]);
    u64::from_le_bytes(number)
}

fn short(bytes: &[u8], place: usize) -> u16 {
    u16::from_le_bytes([bytes[place], bytes[place + 1]])
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[cfg(all(target_os = "linux", target_pointer_width = "64", target_endian = "little"))]
    #[test]
    fn a_program_needs_nearly_all_of_its_file() {
        use std::{env, fs};

        let own = env::current_exe().unwrap();
        check_is_whole(&own).unwrap();
        let bytes = fs::read(&own).unwrap();
        let needed = needed_length(&mut Cursor::new(&bytes)).unwrap().unwrap();
        assert!(needed > 100_000 && needed <= bytes.len() as u64, "{needed}");
        let cut = env::temp_dir().join(format!("cofi-cut-{}", std::process::id()));
        for length in [100, 1000, bytes.len() / 10, needed as usize - 1] {
            fs::write(&cut, &bytes[..length]).unwrap();
            let error = check_is_whole(&cut).unwrap_err();
            assert!(error.starts_with(&format!("it is cut short: {length} bytes of at least ")), "{error}");
        }
        fs::write(&cut, &bytes[..needed as usize]).unwrap();
        check_is_whole(&cut).unwrap();
        fs::remove_file(&cut).unwrap();
    }

    #[test]
    fn other_files_are_the_loaders_to_judge() {
        for bytes in [&b""[..], b"text", &[0; 200], &[b"\x7fELF\x01\x01".as_slice(), &[255; 200]].concat()] {
            assert!(!matches!(needed_length(&mut Cursor::new(bytes)), Ok(Some(_))));
        }
    }

    #[test]
    fn numbers_out_of_this_world_are_no_length() {
        let mut header = b"\x7fELF\x02\x01".to_vec();
        header.resize(300, 255);
        assert!(needed_length(&mut Cursor::new(header)).unwrap_or(Some(u64::MAX)).unwrap() > 300);
    }
}
