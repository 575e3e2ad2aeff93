//! The image of pause containers: small static programs, made here.
//!
//! The container that owns a pod's namespaces runs a program that does nothing but wait, collect the processes that it
//! inherits (it is process 1 of a pod whose containers share processes) and end when it is asked to. Nothing is
//! pulled for it: the executable is encoded by [`program`] and imported as an image of its own. More programs in it
//! do what takes a right or a place that this process does not have: one passes a message on to the kernel (see
//! [`super::route`]), one kills a process ([`super::session`]), one connects from within a pod ([`super::dial`]).

mod program;
mod run;

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use bytes::Bytes;
use futures::TryStreamExt;

use self::program::Argument::{Buffer, Data, Number, Result, Stored};
use self::program::{Call, Machine, Step, executable};
pub(super) use self::run::run;
use super::error::failed;
use crate::runtime::{self, RuntimeError};

/// The image's name. Its tag is the version of the programs.
const REPOSITORY: &str = "orchestrion/pause";
const VERSION: &str = "4";
/// The programs in the image.
pub(super) const PROGRAM: &str = "/pause";
pub(super) const ROUTE: &str = "/route";
pub(super) const KILL: &str = "/kill";
pub(super) const CARRY_PROGRAM: &str = "/carry";
/// The file that all but the first read.
pub(super) const REQUEST: &str = "/request";

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIG_BLOCK: i32 = 0;
const WNOHANG: i32 = 1;
/// The size of a set of signals.
const SET: i32 = 8;

/// What the program does. Its data is the set of all signals.
const PAUSE: &[Step] = &[
    // Process 1 gets no signal that it neither handles nor waits for; those that are blocked wait for it.
    Step::Call(Call::RtSigprocmask, [Number(SIG_BLOCK), Data, Number(0), Number(SET)]),
    Step::Label("wait"),
    Step::Call(Call::RtSigtimedwait, [Data, Number(0), Number(0), Number(SET)]),
    Step::IfEqual(SIGCHLD, "reap"),
    Step::IfEqual(SIGTERM, "exit"),
    Step::IfEqual(SIGINT, "exit"),
    Step::GoTo("wait"),
    // One signal may stand for several processes that have ended.
    Step::Label("reap"),
    Step::Call(Call::Wait4, [Number(-1), Number(0), Number(WNOHANG), Number(0)]),
    Step::IfPositive("reap"),
    Step::GoTo("wait"),
    Step::Label("exit"),
    Step::Call(Call::ExitGroup, [Number(0), Number(0), Number(0), Number(0)]),
];

fn pause(machine: Machine) -> Vec<u8> {
    executable(machine, PAUSE, &[0xff; SET as usize])
}

const CURRENT_DIRECTORY: i32 = -100;
const NETLINK: i32 = 16;
const RAW: i32 = 3;
/// More than a request is long: the kernel stops where the zeros begin.
const SENT: i32 = 256;

/// Passes a file on to the kernel's routing. Its data is the file's name. Descriptors are given out in order, from 3.
const PASS_ON: &[Step] = &[
    Step::Call(Call::Openat, [Number(CURRENT_DIRECTORY), Data, Number(0), Number(0)]),
    Step::Call(Call::Read, [Number(3), Buffer, Number(SENT), Number(0)]),
    Step::Call(Call::Socket, [Number(NETLINK), Number(RAW), Number(0), Number(0)]),
    Step::Call(Call::Write, [Number(4), Buffer, Number(SENT), Number(0)]),
    Step::IfEqual(SENT, "sent"),
    Step::Call(Call::ExitGroup, [Number(1), Number(0), Number(0), Number(0)]),
    Step::Label("sent"),
    Step::Call(Call::ExitGroup, [Number(0), Number(0), Number(0), Number(0)]),
];

fn route(machine: Machine) -> Vec<u8> {
    executable(machine, PASS_ON, format!("{REQUEST}\0").as_bytes())
}

const INET: i32 = 2;
const STREAM: i32 = 1;
/// The size of an address with its port.
const ADDRESS: i32 = 16;
/// How much is carried at a time.
const PIECE: i32 = 4096;
const WRITE_SIDE: i32 = 1;

/// Connects to the address that a file holds, says so by a byte, and carries its input there and what comes back to
/// its output. Its data is the file's name.
const CARRY: &[Step] = &[
    Step::Call(Call::Openat, [Number(CURRENT_DIRECTORY), Data, Number(0), Number(0)]),
    Step::Call(Call::Read, [Number(3), Buffer, Number(ADDRESS), Number(0)]),
    Step::Call(Call::Socket, [Number(INET), Number(STREAM), Number(0), Number(0)]),
    Step::Call(Call::Connect, [Number(4), Buffer, Number(ADDRESS), Number(0)]),
    Step::IfEqual(0, "connected"),
    Step::Call(Call::ExitGroup, [Number(1), Number(0), Number(0), Number(0)]),
    Step::Label("connected"),
    Step::Call(Call::Write, [Number(1), Data, Number(1), Number(0)]),
    // One process for each direction, as far as they have memory of their own.
    Step::Call(Call::Clone, [Number(SIGCHLD), Number(0), Number(0), Number(0)]),
    Step::IfEqual(0, "there"),
    Step::Label("back"),
    Step::Call(Call::Read, [Number(4), Buffer, Number(PIECE), Number(0)]),
    Step::IfPositive("bring"),
    Step::Call(Call::ExitGroup, [Number(0), Number(0), Number(0), Number(0)]),
    Step::Label("bring"),
    Step::Call(Call::Write, [Number(1), Buffer, Result, Number(0)]),
    Step::GoTo("back"),
    Step::Label("there"),
    Step::Call(Call::Read, [Number(0), Buffer, Number(PIECE), Number(0)]),
    Step::IfPositive("take"),
    Step::Call(Call::Shutdown, [Number(4), Number(WRITE_SIDE), Number(0), Number(0)]),
    Step::Call(Call::ExitGroup, [Number(0), Number(0), Number(0), Number(0)]),
    Step::Label("take"),
    Step::Call(Call::Write, [Number(4), Buffer, Result, Number(0)]),
    Step::GoTo("there"),
];

fn carry(machine: Machine) -> Vec<u8> {
    executable(machine, CARRY, format!("{REQUEST}\0").as_bytes())
}

const SIGKILL: i32 = 9;

/// Kills the process whose number a file holds. Its data is the file's name.
const END: &[Step] = &[
    Step::Call(Call::Openat, [Number(CURRENT_DIRECTORY), Data, Number(0), Number(0)]),
    Step::Call(Call::Read, [Number(3), Buffer, Number(4), Number(0)]),
    Step::IfEqual(4, "known"),
    Step::Call(Call::ExitGroup, [Number(1), Number(0), Number(0), Number(0)]),
    Step::Label("known"),
    Step::Call(Call::Kill, [Stored, Number(SIGKILL), Number(0), Number(0)]),
    Step::Call(Call::ExitGroup, [Number(0), Number(0), Number(0), Number(0)]),
];

fn kill(machine: Machine) -> Vec<u8> {
    executable(machine, END, format!("{REQUEST}\0").as_bytes())
}

/// The name of the pause image, which is imported where the engine does not have it.
pub(super) async fn ensure(engine: &Docker) -> runtime::Result<String> {
    let name = format!("{REPOSITORY}:{VERSION}");
    if engine.inspect_image(&name).await.is_ok() {
        return Ok(name);
    }
    let machine = Machine::here().ok_or_else(|| {
        RuntimeError::State(format!("no pause program for {}: configure a pause image", std::env::consts::ARCH))
    })?;
    let files =
        [(PROGRAM, pause(machine)), (ROUTE, route(machine)), (KILL, kill(machine)), (CARRY_PROGRAM, carry(machine))];
    let archive = archive(files.iter().map(|(path, content)| (path.trim_start_matches('/'), content.as_slice())));
    let options = CreateImageOptionsBuilder::default().from_src("-").repo(REPOSITORY).tag(VERSION).build();
    let import = engine.create_image(Some(options), Some(bollard::body_full(Bytes::from(archive))), None);
    import.try_for_each(|_| async { Ok(()) }).await.map_err(|error| failed("import the pause image", error))?;
    Ok(name)
}

/// The unit of tar archives.
const BLOCK: usize = 512;

/// A tar archive of executable files.
fn archive<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        archive.extend(header(name, content.len()));
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0); // its end
    archive
}

fn header(name: &str, size: usize) -> [u8; BLOCK] {
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755\0");
    put(108, "0000000\0"); // the user
    put(116, "0000000\0"); // the group
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0"); // the time
    put(148, "        "); // counts as spaces in its own sum
    put(156, "0"); // a file
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_program_waits_until_it_is_asked_to_end() {
        let Some(machine) = Machine::here() else { return };
        let path = std::env::temp_dir().join(format!("orchestrion-pause-{}", std::process::id()));
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&path).unwrap();
        file.write_all(&pause(machine)).unwrap();
        drop(file);
        for signal in ["TERM", "INT"] {
            let mut child = Command::new(&path).stdin(Stdio::null()).spawn().unwrap();
            let id = child.id();
            let send = |signal: &str| Command::new("kill").args(["-s", signal, &id.to_string()]).status().unwrap();
            // It does not care about others, whenever they come.
            assert!(send("CHLD").success());
            assert!(child.try_wait().unwrap().is_none());
            // Before it waits, a signal ends the program as well, but not with success.
            let status = || std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
            while !status().lines().any(|line| line.starts_with("State:") && line.contains("sleeping")) {
                std::thread::yield_now();
            }
            assert!(send(signal).success());
            assert!(child.wait().unwrap().success(), "it ends with success on SIG{signal}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn both_machines_get_an_executable_of_one_segment() {
        for (machine, number) in [(Machine::X86_64, 62), (Machine::Aarch64, 183)] {
            let program = pause(machine);
            assert_eq!(&program[..4], b"\x7fELF");
            assert_eq!(u16::from_le_bytes([program[18], program[19]]), number);
            let size = u64::from_le_bytes(program[96..104].try_into().unwrap());
            assert_eq!(size, program.len() as u64);
            assert_eq!(program[program.len() - 8..], [0xff; 8], "the set of all signals");
            assert!(program.len() < 600, "{}", program.len());
        }
    }

    #[test]
    fn an_archive_can_be_read_back() {
        let archive = archive([("pause", &b"content"[..])].into_iter());
        assert_eq!(archive.len(), 2048);
        let text = |range: std::ops::Range<usize>| std::str::from_utf8(&archive[range]).unwrap().trim_end_matches('\0');
        assert_eq!(text(0..100), "pause");
        assert_eq!(text(124..136), "00000000007");
        assert_eq!(&archive[512..519], b"content");
    }
}
