//! The programs, one function each.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Shell, Stdio, parse};

/// A program: the shell that runs it, its name and arguments, its input and outputs.
pub(super) type Program = fn(&mut Shell, Vec<String>, Stdio) -> BoxFuture<'_, i32>;

/// Programs by name. Those of the second column are found in `/bin` and `/usr/bin` too.
const PROGRAMS: &[(&str, bool, Program)] = &[
    (":", false, |_, _, _| async { 0 }.boxed()),
    ("[", true, |shell, args, stdio| test(shell, args, stdio).boxed()),
    ("bash", true, |shell, args, stdio| sh(shell, args, stdio).boxed()),
    ("cat", true, |shell, args, stdio| cat(shell, args, stdio).boxed()),
    ("cd", false, |shell, args, stdio| cd(shell, args, stdio).boxed()),
    ("date", true, |shell, args, stdio| date(shell, args, stdio).boxed()),
    ("echo", true, |shell, args, stdio| echo(shell, args, stdio).boxed()),
    ("env", true, |shell, args, stdio| env(shell, args, stdio).boxed()),
    ("exit", false, |shell, args, _| exit(shell, args).boxed()),
    ("export", false, |shell, args, _| export(shell, args).boxed()),
    ("false", true, |_, _, _| async { 1 }.boxed()),
    ("hostname", true, |shell, args, stdio| hostname(shell, args, stdio).boxed()),
    ("ls", true, |shell, args, stdio| ls(shell, args, stdio).boxed()),
    ("mkdir", true, |shell, args, stdio| mkdir(shell, args, stdio).boxed()),
    ("printenv", true, |shell, args, stdio| env(shell, args, stdio).boxed()),
    ("printf", true, |shell, args, stdio| printf(shell, args, stdio).boxed()),
    ("pwd", true, |shell, args, stdio| pwd(shell, args, stdio).boxed()),
    ("rm", true, |shell, args, stdio| rm(shell, args, stdio).boxed()),
    ("sh", true, |shell, args, stdio| sh(shell, args, stdio).boxed()),
    ("sleep", true, |shell, args, stdio| sleep(shell, args, stdio).boxed()),
    ("test", true, |shell, args, stdio| test(shell, args, stdio).boxed()),
    ("touch", true, |shell, args, stdio| touch(shell, args, stdio).boxed()),
    ("true", true, |_, _, _| async { 0 }.boxed()),
];

/// The program of that name or path.
pub(super) fn find(name: &str) -> Option<Program> {
    let base = ["/bin/", "/usr/bin/"].iter().find_map(|directory| name.strip_prefix(directory));
    PROGRAMS.iter().find(|row| row.0 == base.unwrap_or(name) && (base.is_none() || row.1)).map(|row| row.2)
}

async fn sh(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    if let [flags, script, rest @ ..] = &args[1..]
        && flags.starts_with('-')
        && flags.ends_with('c')
    {
        if flags.contains('n') {
            // Reads the script and runs nothing of it.
            return match parse::parse(script) {
                Ok(_) => 0,
                Err(message) => fail(shell, &stdio, format!("sh: {message}"), 2).await,
            };
        }
        let name = if rest.is_empty() { vec!["sh".to_owned()] } else { rest.to_vec() };
        let outer = std::mem::replace(&mut shell.arguments, name);
        let code = script_of(shell, script, &stdio).await;
        shell.arguments = outer;
        return code;
    }
    if let Some(path) = args.get(1).filter(|arg| !arg.starts_with('-')) {
        return match shell.context.files().read(&shell.path(path)) {
            Some(file) => script_of(shell, &String::from_utf8_lossy(&file.content), &stdio).await,
            None => fail(shell, &stdio, format!("sh: can't open '{path}': No such file or directory"), 2).await,
        };
    }
    interactive(shell, &stdio).await
}

async fn script_of(shell: &mut Shell, script: &str, stdio: &Stdio) -> i32 {
    match parse::parse(script) {
        Ok(list) => {
            let code = shell.list(&list, stdio).await;
            shell.exit.take().unwrap_or(code)
        }
        Err(message) => fail(shell, stdio, format!("sh: {message}"), 2).await,
    }
}

/// Reads and runs line after line.
async fn interactive(shell: &mut Shell, stdio: &Stdio) -> i32 {
    let prompt = shell.context.has_terminal();
    loop {
        if prompt {
            shell.write(&stdio.out, Bytes::from_static(b"/ # ")).await;
        }
        let Some(line) = shell.read_line().await else { return shell.last };
        if prompt {
            shell.write(&stdio.out, format!("{line}\r\n").into()).await; // a terminal shows what is typed
        }
        match parse::parse(&line) {
            Ok(list) => drop(shell.list(&list, stdio).await),
            Err(message) => shell.last = fail(shell, stdio, format!("sh: {message}"), 2).await,
        }
        if let Some(code) = shell.exit.take() {
            return code;
        }
    }
}

async fn fail(shell: &Shell, stdio: &Stdio, message: String, code: i32) -> i32 {
    shell.write(&stdio.err, format!("{message}\n").into()).await;
    code
}

async fn print(shell: &Shell, stdio: &Stdio, text: impl Into<Bytes>) -> i32 {
    shell.write(&stdio.out, text.into()).await;
    0
}

async fn echo(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    let mut words = &args[1..];
    let (mut newline, mut escapes) = ("\n", false);
    while let Some(flag @ ("-n" | "-e" | "-en" | "-ne")) = words.first().map(String::as_str) {
        newline = if flag.contains('n') { "" } else { newline };
        escapes |= flag.contains('e');
        words = &words[1..];
    }
    let text = words.join(" ");
    let text = if escapes { unescape(&text) } else { text };
    print(shell, &stdio, text + newline).await
}

async fn printf(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    let mut values = args.iter().skip(2);
    let mut text = unescape(args.get(1).map_or("", String::as_str));
    while let Some(at) = text.find("%s").or_else(|| text.find("%d")) {
        text.replace_range(at..at + 2, values.next().map_or("", String::as_str));
    }
    print(shell, &stdio, text).await
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\")
}

async fn env(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    if let Some(name) = args.get(1) {
        return match shell.variables.get(name) {
            Some(value) => print(shell, &stdio, format!("{value}\n")).await,
            None => 1,
        };
    }
    let text: String = shell.variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    print(shell, &stdio, text).await
}

async fn export(shell: &mut Shell, args: Vec<String>) -> i32 {
    for (name, value) in args[1..].iter().filter_map(|arg| arg.split_once('=')) {
        shell.variables.insert(name.to_owned(), value.to_owned());
    }
    0
}

async fn exit(shell: &mut Shell, args: Vec<String>) -> i32 {
    let code = args.get(1).map_or(Ok(shell.last), |code| code.parse()).unwrap_or(2) & 0xff;
    shell.exit = Some(code);
    code
}

async fn hostname(shell: &mut Shell, _: Vec<String>, stdio: Stdio) -> i32 {
    let name = format!("{}\n", shell.context.hostname());
    print(shell, &stdio, name).await
}

async fn pwd(shell: &mut Shell, _: Vec<String>, stdio: Stdio) -> i32 {
    let directory = format!("/{}\n", crate::runtime::files::normal(&shell.directory));
    print(shell, &stdio, directory).await
}

async fn date(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    let now = shell.context.clock().now();
    let text = match args.get(1).map(String::as_str) {
        Some("+%s") => now.as_second().to_string(),
        _ => now.strftime("%a %b %e %H:%M:%S UTC %Y").to_string(),
    };
    print(shell, &stdio, text + "\n").await
}

async fn cd(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    let wanted = args.get(1).map_or("/", String::as_str);
    let path = shell.path(wanted);
    if !shell.context.files().is_directory(&path) {
        return fail(shell, &stdio, format!("sh: cd: can't cd to {wanted}: No such file or directory"), 2).await;
    }
    shell.directory = path;
    0
}

async fn cat(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    if args.len() == 1 || args[1] == "-" {
        return copy_input(shell, stdio).await;
    }
    let mut code = 0;
    for name in &args[1..] {
        let path = shell.path(name);
        code = match shell.context.files().read(&path) {
            Some(file) => print(shell, &stdio, file.content).await.max(code),
            None if shell.context.files().is_directory(&path) => {
                fail(shell, &stdio, "cat: read error: Is a directory".to_owned(), 1).await
            }
            None => fail(shell, &stdio, format!("cat: can't open '{name}': No such file or directory"), 1).await,
        };
    }
    code
}

/// Passes input on as it comes.
async fn copy_input(shell: &mut Shell, stdio: Stdio) -> i32 {
    if let super::Input::Fixed(bytes) = stdio.input {
        shell.write(&stdio.out, bytes).await;
        return 0;
    }
    let unread = std::mem::take(&mut shell.unread);
    if !unread.is_empty() {
        shell.write(&stdio.out, unread.into()).await;
    }
    while let Some(input) = &mut shell.input {
        match input.recv().await {
            Some(bytes) => shell.write(&stdio.out, bytes).await,
            None => break,
        }
    }
    0
}

async fn ls(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    let all = args[1..].iter().any(|arg| arg.starts_with('-') && arg.contains('a'));
    let here = ".".to_owned();
    let mut names: Vec<&String> = args[1..].iter().filter(|arg| !arg.starts_with('-')).collect();
    if names.is_empty() {
        names.push(&here);
    }
    let (mut code, several) = (0, names.len() > 1);
    for name in names {
        let path = shell.path(name);
        let files = shell.context.files();
        match files.list(&path) {
            Some(entries) => {
                let title = if several { format!("{name}:\n") } else { String::new() };
                let shown = entries.iter().filter(|entry| all || !entry.starts_with('.'));
                let text = title + &shown.map(|entry| format!("{entry}\n")).collect::<String>();
                print(shell, &stdio, text).await;
            }
            None if files.read(&path).is_some() => drop(print(shell, &stdio, format!("{name}\n")).await),
            None => code = fail(shell, &stdio, format!("ls: {name}: No such file or directory"), 1).await,
        }
    }
    code
}

async fn touch(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    for name in args[1..].iter().filter(|arg| !arg.starts_with('-')) {
        if let Err(why) = shell.context.files().append(&shell.path(name), b"") {
            return fail(shell, &stdio, format!("touch: {name}: {why}"), 1).await;
        }
    }
    0
}

async fn rm(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    let force = args[1..].iter().any(|arg| arg.starts_with('-') && arg.contains('f'));
    let mut code = 0;
    for name in args[1..].iter().filter(|arg| !arg.starts_with('-')) {
        match shell.context.files().remove(&shell.path(name)) {
            Ok(true) => {}
            Ok(false) if force => {}
            Ok(false) => {
                code = fail(shell, &stdio, format!("rm: can't remove '{name}': No such file or directory"), 1).await;
            }
            Err(why) => code = fail(shell, &stdio, format!("rm: can't remove '{name}': {why}"), 1).await,
        }
    }
    code
}

async fn mkdir(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    for name in args[1..].iter().filter(|arg| !arg.starts_with('-')) {
        if let Err(why) = shell.context.files().make_directory(&shell.path(name)) {
            return fail(shell, &stdio, format!("mkdir: can't create directory '{name}': {why}"), 1).await;
        }
    }
    0
}

async fn sleep(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    let Some(wanted) = args.get(1) else { return fail(shell, &stdio, "sleep: missing operand".to_owned(), 1).await };
    if matches!(wanted.as_str(), "infinity" | "inf") {
        return std::future::pending().await;
    }
    let (number, unit) = match wanted.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) => (number, &wanted[number.len()..]),
        None => (wanted.as_str(), "s"),
    };
    let unit = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)].iter().find(|row| row.0 == unit);
    let seconds = number.parse::<f64>().ok().zip(unit).map(|(number, unit)| number * unit.1);
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(duration) => {
            shell.context.clock().sleep(duration).await;
            0
        }
        None => fail(shell, &stdio, format!("sleep: invalid number '{wanted}'"), 1).await,
    }
}

async fn test(shell: &mut Shell, args: Vec<String>, stdio: Stdio) -> i32 {
    let mut words: Vec<&str> = args[1..].iter().map(String::as_str).collect();
    if args[0].ends_with('[') && words.pop() != Some("]") {
        return fail(shell, &stdio, "sh: missing ]".to_owned(), 2).await;
    }
    let negated = words.len() > 1 && words[0] == "!";
    let files = shell.context.files();
    let number = |text: &str| text.trim().parse::<i64>().unwrap_or(0);
    let holds = match words[usize::from(negated)..] {
        [] => false,
        [text] | ["-n", text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        ["-f", path] => files.read(&shell.path(path)).is_some(),
        ["-d", path] => files.is_directory(&shell.path(path)),
        ["-s", path] => files.read(&shell.path(path)).is_some_and(|file| !file.content.is_empty()),
        ["-e" | "-r" | "-w", path] => {
            let path = shell.path(path);
            files.read(&path).is_some() || files.is_directory(&path)
        }
        [a, "=" | "==", b] => a == b,
        [a, "!=", b] => a != b,
        [a, "-eq", b] => number(a) == number(b),
        [a, "-ne", b] => number(a) != number(b),
        [a, "-lt", b] => number(a) < number(b),
        [a, "-le", b] => number(a) <= number(b),
        [a, "-gt", b] => number(a) > number(b),
        [a, "-ge", b] => number(a) >= number(b),
        _ => return fail(shell, &stdio, "sh: test: syntax error".to_owned(), 2).await,
    };
    i32::from(holds == negated)
}
