//! A small language of system calls, and what it is translated to: a static executable.
//!
//! The programs that the runtime brings along (see [`super`]) make a dozen system calls and compare their results. They
//! are written in [`Step`]s, which this module encodes for the machine at hand; no compiler, assembler or C library is
//! needed where the runtime is used.

use std::collections::BTreeMap;

/// Where the executable is loaded.
const BASE: u64 = 0x40_0000;
/// Where the memory is that it can write to, and its size.
const BUFFER: u64 = 0x50_0000;
const BUFFER_SIZE: u64 = 4096;
/// The largest pages that there are.
const PAGE: u64 = 0x1_0000;
/// What comes before the code: the ELF header and two program headers.
const HEADERS: u64 = 64 + 2 * 56;

/// A system call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Clone,
    Connect,
    Shutdown,
    Kill,
    Openat,
    Read,
    Socket,
    Write,
    RtSigprocmask,
    RtSigtimedwait,
    Wait4,
    ExitGroup,
}

/// An argument of a system call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument {
    Number(i32),
    /// The address of the program's data.
    Data,
    /// The address of memory that can be written to, all zeros at first.
    Buffer,
    /// The number (of 32 bits) that stands at the beginning of that memory.
    Stored,
    /// The result of the call before.
    Result,
}

impl Argument {
    /// Its value in a program whose data is at that address, or where the value stands. Addresses are small: they are
    /// positive numbers as well.
    fn value(self, data: u64) -> i32 {
        match self {
            Self::Number(number) => number,
            Self::Data => data as i32,
            Self::Buffer | Self::Stored => BUFFER as i32,
            Self::Result => 0, // it stands in a register
        }
    }
}

/// One step of a program.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A place to go to.
    Label(&'static str),
    /// A system call and its arguments.
    Call(Call, [Argument; 4]),
    /// Goes to a label where the last call's result is this.
    IfEqual(i32, &'static str),
    /// Goes to a label where the last call's result is greater than zero.
    IfPositive(&'static str),
    GoTo(&'static str),
}

/// A processor that programs are encoded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// The one that this is built for, where programs can be encoded for it.
    pub(super) fn here() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// `e_machine` of the ELF header.
    fn elf(self) -> u16 {
        match self {
            Self::X86_64 => 62,
            Self::Aarch64 => 183,
        }
    }

    /// The number of a system call.
    fn call(self, call: Call) -> i32 {
        let (x86_64, aarch64) = match call {
            Call::Clone => (56, 220),
            Call::Connect => (42, 203),
            Call::Shutdown => (48, 210),
            Call::Kill => (62, 129),
            Call::Openat => (257, 56),
            Call::Read => (0, 63),
            Call::Socket => (41, 198),
            Call::Write => (1, 64),
            Call::RtSigprocmask => (14, 135),
            Call::RtSigtimedwait => (128, 137),
            Call::Wait4 => (61, 260),
            Call::ExitGroup => (231, 94),
        };
        match self {
            Self::X86_64 => x86_64,
            Self::Aarch64 => aarch64,
        }
    }

    /// Encodes one step at an address.
    fn encode(self, step: Step, at: u64, address: impl Fn(&str) -> u64, data: u64) -> Vec<u8> {
        match self {
            Self::X86_64 => x86_64(step, at, address, data),
            Self::Aarch64 => aarch64(step, at, address, data),
        }
    }
}

fn x86_64(step: Step, at: u64, address: impl Fn(&str) -> u64, data: u64) -> Vec<u8> {
    // A jump says how far it is from the end of its own instruction.
    let jump = |before: &[u8], opcode: &[u8], label: &str| {
        let end = at + (before.len() + opcode.len() + 4) as u64;
        let far = address(label).wrapping_sub(end) as u32;
        [before, opcode, &far.to_le_bytes()].concat()
    };
    let compare = |value: i32| [&[0x3d][..], &value.to_le_bytes()].concat(); // cmp eax, imm32
    match step {
        Step::Label(_) => Vec::new(),
        Step::Call(call, arguments) => {
            // mov rdi/rsi/rdx/r10, imm32 (sign-extended); movsxd, dword ptr [address]
            let registers: [[u8; 3]; 4] =
                [[0x48, 0xc7, 0xc7], [0x48, 0xc7, 0xc6], [0x48, 0xc7, 0xc2], [0x49, 0xc7, 0xc2]];
            let from_memory = [
                [0x48, 0x63, 0x3c, 0x25],
                [0x48, 0x63, 0x34, 0x25],
                [0x48, 0x63, 0x14, 0x25],
                [0x4c, 0x63, 0x14, 0x25],
            ];
            let mut code = Vec::new();
            for ((register, memory), argument) in registers.iter().zip(&from_memory).zip(arguments) {
                match argument {
                    Argument::Result => {
                        // mov register, rax
                        let [prefix, _, field] = *register;
                        code.extend_from_slice(&[prefix, 0x89, field]);
                        continue;
                    }
                    Argument::Stored => code.extend_from_slice(memory),
                    _ => code.extend_from_slice(register),
                }
                code.extend_from_slice(&argument.value(data).to_le_bytes());
            }
            code.push(0xb8); // mov eax, imm32
            code.extend_from_slice(&Machine::X86_64.call(call).to_le_bytes());
            code.extend_from_slice(&[0x0f, 0x05]); // syscall
            code
        }
        Step::IfEqual(value, label) => jump(&compare(value), &[0x0f, 0x84], label), // je
        Step::IfPositive(label) => jump(&compare(0), &[0x0f, 0x8f], label),         // jg
        Step::GoTo(label) => jump(&[], &[0xe9], label),                             // jmp
    }
}

fn aarch64(step: Step, at: u64, address: impl Fn(&str) -> u64, data: u64) -> Vec<u8> {
    // Jumps count in instructions, from their own.
    let distance = |index: u64, label: &str| (address(label).wrapping_sub(at + 4 * index) as i64 >> 2) as u32;
    // movz and movk: the lower and the upper half. movn: all bits but those.
    let load = |register: u32, value: i32| -> Vec<u32> {
        let bits = value as u32;
        match value {
            0.. => vec![0xd280_0000 | (bits & 0xffff) << 5 | register, 0xf2a0_0000 | (bits >> 16) << 5 | register],
            // Two instructions as well, so that every call is of the same size.
            _ => vec![0x9280_0000 | (!bits & 0xffff) << 5 | register, 0xd503_201f],
        }
    };
    let compare = |value: i32| 0x7100_001f | (value as u32 & 0xfff) << 10; // cmp w0, imm12
    let words = match step {
        Step::Label(_) => Vec::new(),
        Step::Call(call, arguments) => {
            let mut words = Vec::new();
            // The last result stands where the first argument goes: it is moved away first.
            for (register, _) in (0..).zip(arguments).filter(|(_, argument)| matches!(argument, Argument::Result)) {
                words.push(0xaa00_03e0 | register); // mov register, x0
            }
            let others = (0..).zip(arguments).filter(|(_, argument)| !matches!(argument, Argument::Result));
            for (register, argument) in others {
                words.extend(load(register, argument.value(data)));
                if let Argument::Stored = argument {
                    words.push(0xb980_0000 | register << 5 | register); // ldrsw, from the address in the register itself
                }
            }
            words.extend(load(8, Machine::Aarch64.call(call)));
            words.push(0xd400_0001); // svc 0
            words
        }
        Step::IfEqual(value, label) => vec![compare(value), 0x5400_0000 | (distance(1, label) & 0x7_ffff) << 5], // b.eq
        Step::IfPositive(label) => vec![compare(0), 0x5400_000c | (distance(1, label) & 0x7_ffff) << 5],         // b.gt
        Step::GoTo(label) => vec![0x1400_0000 | distance(0, label) & 0x3ff_ffff],                                // b
    };
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// The executable of a program and its data.
pub(super) fn executable(machine: Machine, steps: &[Step], data: &[u8]) -> Vec<u8> {
    // No step's size depends on where it lies: the first pass finds the addresses, the second uses them.
    let start = BASE + HEADERS;
    let (mut labels, mut at) = (BTreeMap::new(), start);
    for step in steps {
        if let Step::Label(name) = step {
            labels.insert(*name, at);
        }
        at += machine.encode(*step, at, |_| start, start).len() as u64;
    }
    let data_at = at.next_multiple_of(8);
    let mut code = Vec::new();
    for step in steps {
        let at = start + code.len() as u64;
        code.extend(machine.encode(*step, at, |label| labels.get(label).copied().unwrap_or(start), data_at));
    }
    code.resize((data_at - start) as usize, 0);
    code.extend_from_slice(data);
    [headers(machine, code.len() as u64), code].concat()
}

/// The ELF header, and the program headers: one loads all of the file, one is memory.
fn headers(machine: Machine, code: u64) -> Vec<u8> {
    let half = |value: u16| value.to_le_bytes().to_vec();
    let word = |value: u32| value.to_le_bytes().to_vec();
    let long = |value: u64| value.to_le_bytes().to_vec();
    let identity = [b"\x7fELF".to_vec(), vec![2, 1, 1, 0], long(0)]; // 64 bits, little endian, version 1
    let header = [
        half(2), // executable
        half(machine.elf()),
        word(1),
        long(BASE + HEADERS), // the entry
        long(64),             // where the program headers are
        long(0),              // no sections
        word(0),
        half(64), // size of this header
        half(56), // size of a program header
        half(2),
        half(0),
        half(0),
        half(0),
    ];
    let load = |rights: u32, address: u64, in_file: u64, size: u64| {
        [word(1), word(rights), long(0), long(address), long(address), long(in_file), long(size), long(PAGE)].concat()
    };
    let (readable, writable, executable) = (4, 2, 1);
    let size = HEADERS + code;
    let segments = [load(readable | executable, BASE, size, size), load(readable | writable, BUFFER, 0, BUFFER_SIZE)];
    [identity.concat(), header.concat(), segments.concat()].concat()
}
