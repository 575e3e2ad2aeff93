#!/usr/bin/env python3
"""The ten widest frames of a benchmark's flame graph, as a table for the documents.

usage: benches/top_ten.py [--profile NAME] BENCH [ARGUMENT...]

Needs `perf` (Debian's linux-perf), and the benchmark built: cargo bench --no-run --bench BENCH.
Shares are of the processor time of the whole run, each with everything below it.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

# What is nobody's doing in particular, by the names of the frames that do it.
GROUPS = {
    "(allocator)": re.compile(r"^(_?mi_|__rdl_|__rust_(alloc|dealloc|realloc)|malloc|cfree|realloc|calloc|_int_(malloc|free|realloc)|operator )"),
    "(comparing and copying memory)": re.compile(r"^_*mem(cmp|move|cpy|set)"),
    "(encryption)": re.compile(r"^ring_core|aes|^gcm|^rustls::crypto|^ring::"),
}


KERNEL = ("asm_", "__x64", "do_", "_raw", "clear_page", "finish_task", "syscall", "exc_", "entry_")


def name(frame):
    """A frame as the table names it; None where it says nothing to a reader."""
    for group, pattern in GROUPS.items():
        if pattern.search(frame):
            return group
    if "orchestrion::" not in frame:
        return None
    plain = re.sub(r"\{\{(closure|vtable\.shim)\}\}", "", frame)
    inherent = re.match(r"<impl (orchestrion::[\w:]+)[^>]*>::(\w+)", plain)
    of_trait = re.match(r"<\w+ as (orchestrion::[\w:]+)>::(\w+)", plain)
    as_trait = re.match(r"<(orchestrion::[\w:]+).* as ([\w:]+)[^>]*>::(\w+)", plain)
    if of_trait:
        plain = f"{of_trait[1]}::{of_trait[2]}"
    elif as_trait:
        plain = f"{as_trait[1]}::{as_trait[3]}"
    elif inherent:
        plain = f"{inherent[1]}::{inherent[2]}"
    else:
        found = re.search(r"orchestrion::[\w:]+(::<impl [\w:]+>::\w+)?", plain)
        plain = re.sub(r"::<impl ([\w:]+)>", lambda impl: "::" + impl[1].split("::")[-1], found[0])
    return plain.removeprefix("orchestrion::").strip(":")


def newest(profile, bench):
    folder = pathlib.Path("target") / ("release" if profile == "bench" else profile) / "deps"
    built = [path for path in folder.glob(f"{bench}-*") if re.fullmatch(r".*-[0-9a-f]{16}", path.name)]
    if not built:
        sys.exit(f"no {bench} in {folder}: cargo bench --no-run --profile {profile} --bench {bench}")
    return max(built, key=lambda path: path.stat().st_mtime)


def stacks(recorded):
    """Yields the frames of each sample, innermost first."""
    script = ["perf", "script", "-i", recorded, "--no-inline", "-F", "ip,sym"]
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        frames = []
        for line in run.stdout:
            if line.strip():
                frames.append(line.strip().split(" ", 1)[-1])
            elif frames:
                yield frames
                frames = []


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--profile", default="bench")
    arguments.add_argument("bench")
    arguments.add_argument("rest", nargs=argparse.REMAINDER)
    given = arguments.parse_args()
    with tempfile.NamedTemporaryFile() as recorded:
        record = ["perf", "record", "-q", "-o", recorded.name, "-F", "299", "--call-graph", "dwarf,65528", "-B", "--"]
        program = [str(newest(given.profile, given.bench)), "--bench", *given.rest]
        subprocess.run(record + program, check=True, stdout=sys.stderr)
        total, seen = 0, collections.defaultdict(set)
        for frames in stacks(recorded.name):
            total += 1
            for at, frame in enumerate(map(name, frames)):
                # A group counts where it works itself; what called it has a name of its own.
                if frame and (not frame.startswith("(") or at == 0):
                    seen[frame].add(total)
            if frames[0].startswith(KERNEL):
                seen["(kernel)"].add(total)
    print(f"`{given.bench} {' '.join(given.rest)}`\n\n| share | what |\n|---|---|")
    for frame, samples in widest(seen, 10):
        what = frame[1:-1] if frame.startswith("(") else f"`{frame}`"
        print(f"| {100 * len(samples) / total:.0f} % | {what} |")


def widest(seen, count):
    """The widest frames, without those that are little more than the only child of another one."""
    taken = []
    for frame, samples in sorted(seen.items(), key=lambda item: -len(item[1])):
        if all(len(samples & other) < 0.8 * len(other) for _, other in taken):
            taken.append((frame, samples))
        if len(taken) == count:
            break
    return taken


if __name__ == "__main__":
    main()
