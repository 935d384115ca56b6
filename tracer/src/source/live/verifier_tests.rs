//! What kernels before 6.12 ask of programs and newer ones do not, checked without such a kernel.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

use super::*;

/// An instruction of BPF, as far as its flow goes.
struct Instruction {
    code: u8,
    offset: i16,
}

impl Instruction {
    fn of(bytes: [u8; 8]) -> Self {
        Self { code: bytes[0], offset: i16::from_le_bytes([bytes[2], bytes[3]]) }
    }

    /// Where it may go on from `at`, and whether it may go there again (`push_insn` in `check_cfg`): a jump may, the plain way to
    /// the next instruction may not.
    fn ways(&self, at: usize) -> Vec<(usize, bool)> {
        let target = (at + 1).wrapping_add_signed(isize::from(self.offset));
        match (self.code & 0x07, self.code & 0xf0) {
            // BPF_JMP and BPF_JMP32: exit, call, always, and two ways.
            (5 | 6, 0x90) => Vec::new(),
            (5 | 6, 0x80) => vec![(at + 1, false)],
            (5 | 6, 0x00) => vec![(target, true)],
            (5 | 6, _) => vec![(at + 1, true), (target, true)],
            _ => vec![(at + 1, false)],
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Discovered,
    Explored,
}

/// The instructions after which a program falls into the head of a loop that it is in.
fn falls_into_loops(program: &[Instruction]) -> Vec<usize> {
    let mut states = vec![State::New; program.len()];
    let (mut stack, mut found) = (vec![(0, program[0].ways(0))], Vec::new());
    states[0] = State::Discovered;
    while let Some((at, ways)) = stack.last_mut() {
        if ways.is_empty() {
            states[*at] = State::Explored;
            stack.pop();
            continue;
        }
        let (from, (next, may_loop)) = (*at, ways.remove(0));
        match states[next] {
            State::New => {
                states[next] = State::Discovered;
                stack.push((next, program[next].ways(next)));
            }
            State::Discovered if !may_loop => found.push(from),
            State::Discovered | State::Explored => {}
        }
    }
    found
}

/// `back-edge from insn`: what the compiler does with a loop changes with the code around it, and kernels from 6.12 on take it.
#[test]
fn no_program_falls_into_the_head_of_a_loop() {
    let object = object::File::<&[u8]>::parse(OBJECT).unwrap();
    let mut programs = Vec::new();
    for symbol in object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
        let Some(section) = symbol.section_index().and_then(|index| object.section_by_index(index).ok())
        else {
            continue;
        };
        if section.name() == Ok(".text") {
            continue;
        }
        let bytes = section.data_range(symbol.address(), symbol.size()).unwrap().unwrap();
        let program: Vec<Instruction> = bytes.as_chunks().0.iter().copied().map(Instruction::of).collect();
        assert_eq!(falls_into_loops(&program), [0; 0], "{}", symbol.name().unwrap());
        programs.push(symbol.name().unwrap().to_owned());
    }
    programs.sort();
    let expected = ["tracer_egress", "tracer_ingress", "tracer_sockops", "tracer_walk_in", "tracer_walk_out"];
    assert_eq!(programs, expected);
}

#[test]
fn a_fall_into_a_loops_head_is_found() {
    // 0: goto 2; 1: r0 += 1; 2: if r0 < r1 goto 1; 3: exit. A loop whose end jumps back is one that all kernels take.
    let code = |code, offset| Instruction { code, offset };
    assert_eq!(falls_into_loops(&[code(0x05, 1), code(0x07, 0), code(0xad, -2), code(0x95, 0)]), [1]);
    assert_eq!(falls_into_loops(&[code(0x07, 0), code(0xad, -2), code(0x95, 0)]), [0; 0]);
}
