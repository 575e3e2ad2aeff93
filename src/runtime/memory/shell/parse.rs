//! The shell's grammar: lists, pipelines, redirections, `if`, `while`, `until`, `for`, quoting, `$VAR`, `$(…)`, `$((…))`.

use std::iter::Peekable;
use std::str::Chars;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// Text as it stands; whether it was quoted.
    Text(String, bool),
    /// A variable, and what stands for it where it is not set.
    Variable { name: String, default: Option<String>, quoted: bool },
    /// The output of a list.
    Output { list: Vec<Command>, quoted: bool },
    /// An arithmetic expression.
    Arithmetic(String),
}

/// A word before expansion.
pub(super) type Word = Vec<Part>;

/// Where output or input is redirected.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Redirect {
    /// `< file`
    Input(Word),
    /// `> file`, `2>> file`: which output, to where, and whether to append.
    Output { from: u8, to: Word, append: bool },
    /// `2>&1`
    Duplicate { from: u8, to: u8 },
}

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    /// Assignments, words and redirections.
    Simple { assignments: Vec<(String, Word)>, words: Vec<Word>, redirects: Vec<Redirect> },
    /// `a | b`
    Pipe(Vec<Command>),
    /// `! a`
    Not(Box<Command>),
    /// `a && b` (true) or `a || b` (false).
    Chain(Box<Command>, bool, Box<Command>),
    /// `if`: conditions with their bodies, and the `else`.
    If(Vec<(Vec<Command>, Vec<Command>)>, Vec<Command>),
    /// `while` (true) or `until` (false).
    Loop(bool, Vec<Command>, Vec<Command>),
    /// `for name in words`
    For(String, Vec<Word>, Vec<Command>),
    /// `{ list; }` or `( list )`
    Group(Vec<Command>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(Word),
    Operator(&'static str),
}

/// Longest first, so that `&&` is not read as `&`.
const OPERATORS: &[&str] = &[
    "2>&1", "1>&2", "2>>", "1>>", "&&", "||", ">&2", ">&1", ">>", "2>", "1>", ";", "\n", "|", "&", "(", ")", "<", ">",
];

/// Reads a script.
pub(super) fn parse(script: &str) -> Result<Vec<Command>, String> {
    let tokens = tokens(script)?;
    let mut parser = Parser { tokens: &tokens };
    let list = parser.list(&[])?;
    match parser.tokens.first() {
        None => Ok(list),
        Some(token) => Err(unexpected(Some(token))),
    }
}

fn unexpected(token: Option<&Token>) -> String {
    match token {
        None => "syntax error: unexpected end of file".to_owned(),
        Some(Token::Operator("\n")) => "syntax error: unexpected newline".to_owned(),
        Some(Token::Operator(operator)) => format!("syntax error: unexpected \"{operator}\""),
        Some(Token::Word(word)) => format!("syntax error: unexpected \"{}\"", keyword(word).unwrap_or("word")),
    }
}

/// The word's text, where it is nothing but unquoted text.
fn keyword(word: &Word) -> Option<&str> {
    match &word[..] {
        [Part::Text(text, false)] => Some(text),
        _ => None,
    }
}

fn tokens(script: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = script;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r']);
        if rest.starts_with('#') {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        }
        if let Some(next) = rest.strip_prefix("\\\n") {
            rest = next;
        } else if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
            tokens.push(Token::Operator(operator));
            rest = &rest[operator.len()..];
        } else if rest.is_empty() {
            return Ok(tokens);
        } else {
            let mut chars = rest.chars().peekable();
            tokens.push(Token::Word(word(&mut chars)?));
            rest = &rest[rest.len() - chars.collect::<String>().len()..];
        }
    }
}

fn word(chars: &mut Peekable<Chars<'_>>) -> Result<Word, String> {
    let mut parts = Vec::new();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' | '\r' | '\n' | ';' | '|' | '&' | '<' | '>' | '(' | ')' => break,
            '\'' => {
                chars.next();
                let text: String = chars.by_ref().take_while(|c| *c != '\'').collect();
                push_text(&mut parts, &text, true);
            }
            '"' => {
                chars.next();
                double_quoted(chars, &mut parts)?;
            }
            '\\' => {
                chars.next();
                if let Some(c) = chars.next().filter(|c| *c != '\n') {
                    push_text(&mut parts, c.encode_utf8(&mut [0; 4]), true);
                }
            }
            '$' => {
                chars.next();
                parts.push(dollar(chars, false)?);
            }
            c => {
                chars.next();
                push_text(&mut parts, c.encode_utf8(&mut [0; 4]), false);
            }
        }
    }
    Ok(parts)
}

fn double_quoted(chars: &mut Peekable<Chars<'_>>, parts: &mut Word) -> Result<(), String> {
    push_text(parts, "", true);
    loop {
        match chars.next() {
            None => return Err("syntax error: unterminated quoted string".to_owned()),
            Some('"') => return Ok(()),
            Some('\\') => match chars.next() {
                Some(c) if "$`\"\\".contains(c) => push_text(parts, c.encode_utf8(&mut [0; 4]), true),
                Some('\n') | None => {}
                Some(c) => push_text(parts, &format!("\\{c}"), true),
            },
            Some('$') => parts.push(dollar(chars, true)?),
            Some(c) => push_text(parts, c.encode_utf8(&mut [0; 4]), true),
        }
    }
}

fn push_text(parts: &mut Word, text: &str, quoted: bool) {
    match parts.last_mut() {
        Some(Part::Text(last, was_quoted)) if *was_quoted == quoted => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned(), quoted)),
    }
}

fn dollar(chars: &mut Peekable<Chars<'_>>, quoted: bool) -> Result<Part, String> {
    match chars.peek().copied() {
        Some('{') => {
            chars.next();
            let inner: String = chars.by_ref().take_while(|c| *c != '}').collect();
            let (name, default) = match inner.split_once(":-").or_else(|| inner.split_once('-')) {
                Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
                None => (inner, None),
            };
            Ok(Part::Variable { name, default, quoted })
        }
        Some('(') => {
            chars.next();
            let inner = parenthesised(chars)?;
            match inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
                Some(expression) => Ok(Part::Arithmetic(expression.to_owned())),
                None => Ok(Part::Output { list: parse(&inner)?, quoted }),
            }
        }
        Some(c) if c.is_ascii_alphabetic() || c == '_' => {
            let mut name = String::new();
            while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                name.push(c);
            }
            Ok(Part::Variable { name, default: None, quoted })
        }
        Some(c) if c.is_ascii_digit() || "?$#@*!".contains(c) => {
            chars.next();
            Ok(Part::Variable { name: c.to_string(), default: None, quoted })
        }
        _ => Ok(Part::Text("$".to_owned(), quoted)),
    }
}

/// Up to the parenthesis that closes one already read.
fn parenthesised(chars: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut inner = String::new();
    let mut depth = 1;
    for c in chars.by_ref() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(inner);
        }
        inner.push(c);
    }
    Err("syntax error: unterminated $(".to_owned())
}

struct Parser<'a> {
    tokens: &'a [Token],
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn operator(&mut self, wanted: &[&'static str]) -> Option<&'static str> {
        match self.tokens.first() {
            Some(Token::Operator(operator)) if wanted.contains(operator) => {
                self.next();
                Some(operator)
            }
            _ => None,
        }
    }

    fn peek_keyword(&self) -> Option<&'a str> {
        match self.tokens.first() {
            Some(Token::Word(word)) => keyword(word),
            _ => None,
        }
    }

    fn take_keyword(&mut self, wanted: &str) -> Result<(), String> {
        if self.peek_keyword() == Some(wanted) {
            self.next();
            return Ok(());
        }
        Err(unexpected(self.tokens.first()))
    }

    /// Commands up to one of the keywords (or a closing parenthesis, or the end).
    fn list(&mut self, until: &[&str]) -> Result<Vec<Command>, String> {
        let mut list = Vec::new();
        loop {
            while self.operator(&[";", "\n"]).is_some() {}
            match self.tokens.first() {
                None | Some(Token::Operator(")")) => return Ok(list),
                Some(Token::Word(word)) if keyword(word).is_some_and(|word| until.contains(&word)) => return Ok(list),
                _ => list.push(self.chain()?),
            }
        }
    }

    fn chain(&mut self) -> Result<Command, String> {
        let mut command = self.pipe()?;
        while let Some(operator) = self.operator(&["&&", "||"]) {
            while self.operator(&["\n"]).is_some() {}
            command = Command::Chain(Box::new(command), operator == "&&", Box::new(self.pipe()?));
        }
        Ok(command)
    }

    fn pipe(&mut self) -> Result<Command, String> {
        if self.peek_keyword() == Some("!") {
            self.next();
            return Ok(Command::Not(Box::new(self.pipe()?)));
        }
        let first = self.command()?;
        let mut commands = vec![first];
        while self.operator(&["|"]).is_some() {
            commands.push(self.command()?);
        }
        Ok(if commands.len() == 1 { commands.remove(0) } else { Command::Pipe(commands) })
    }

    fn command(&mut self) -> Result<Command, String> {
        if self.operator(&["("]).is_some() {
            let list = self.list(&[])?;
            return match self.operator(&[")"]) {
                Some(_) => Ok(Command::Group(list)),
                None => Err(unexpected(self.tokens.first())),
            };
        }
        match self.peek_keyword() {
            Some("{") => {
                self.next();
                let list = self.list(&["}"])?;
                self.take_keyword("}")?;
                Ok(Command::Group(list))
            }
            Some(word @ ("while" | "until")) => {
                self.next();
                let condition = self.list(&["do"])?;
                Ok(Command::Loop(word == "while", condition, self.body()?))
            }
            Some("for") => self.for_loop(),
            Some("if") => self.conditional(),
            _ => self.simple(),
        }
    }

    fn body(&mut self) -> Result<Vec<Command>, String> {
        self.take_keyword("do")?;
        let body = self.list(&["done"])?;
        self.take_keyword("done")?;
        Ok(body)
    }

    fn for_loop(&mut self) -> Result<Command, String> {
        self.next();
        let name = self.peek_keyword().ok_or_else(|| unexpected(self.tokens.first()))?.to_owned();
        self.next();
        self.take_keyword("in")?;
        let mut words = Vec::new();
        while let Some(Token::Word(word)) = self.tokens.first() {
            words.push(word.clone());
            self.next();
        }
        while self.operator(&[";", "\n"]).is_some() {}
        Ok(Command::For(name, words, self.body()?))
    }

    fn conditional(&mut self) -> Result<Command, String> {
        let (mut branches, mut otherwise) = (Vec::new(), Vec::new());
        self.next();
        loop {
            let condition = self.list(&["then"])?;
            self.take_keyword("then")?;
            branches.push((condition, self.list(&["elif", "else", "fi"])?));
            match self.peek_keyword() {
                Some("elif") => self.next(),
                Some("else") => {
                    self.next();
                    otherwise = self.list(&["fi"])?;
                    break;
                }
                _ => break,
            };
        }
        self.take_keyword("fi")?;
        Ok(Command::If(branches, otherwise))
    }

    fn simple(&mut self) -> Result<Command, String> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            match self.tokens.first() {
                Some(Token::Word(word)) => {
                    match assignment(word).filter(|_| words.is_empty()) {
                        Some(assignment) => assignments.push(assignment),
                        None => words.push(word.clone()),
                    }
                    self.next();
                }
                Some(Token::Operator(operator)) => match self.redirect(operator)? {
                    Some(redirect) => redirects.push(redirect),
                    None => break,
                },
                None => break,
            }
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(unexpected(self.tokens.first()));
        }
        Ok(Command::Simple { assignments, words, redirects })
    }

    fn redirect(&mut self, operator: &str) -> Result<Option<Redirect>, String> {
        let (from, append) = match operator {
            "2>&1" => (2, None),
            "1>&2" | ">&2" => (1, None),
            ">" | "1>" => (1, Some(false)),
            ">>" | "1>>" => (1, Some(true)),
            "2>" => (2, Some(false)),
            "2>>" => (2, Some(true)),
            "<" => (0, Some(false)),
            _ => return Ok(None),
        };
        self.next();
        let Some(append) = append else { return Ok(Some(Redirect::Duplicate { from, to: 3 - from })) };
        match self.next() {
            Some(Token::Word(word)) if from == 0 => Ok(Some(Redirect::Input(word.clone()))),
            Some(Token::Word(word)) => Ok(Some(Redirect::Output { from, to: word.clone(), append })),
            token => Err(unexpected(token)),
        }
    }
}

/// `NAME=value`, where the word is one.
fn assignment(word: &Word) -> Option<(String, Word)> {
    let (Part::Text(first, false), rest) = word.split_first()? else { return None };
    let (name, value) = first.split_once('=')?;
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut word = vec![Part::Text(value.to_owned(), true)];
    word.extend_from_slice(rest);
    valid.then(|| (name.to_owned(), word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_errors_are_told() {
        for (script, message) in [
            ("echo \"x", "syntax error: unterminated quoted string"),
            ("while true", "syntax error: unexpected end of file"),
            ("; ; | x", "syntax error: unexpected \"|\""),
            ("echo x & y", "syntax error: unexpected \"&\""),
            ("echo >", "syntax error: unexpected end of file"),
            ("fi )", "syntax error: unexpected \")\""),
        ] {
            assert_eq!(parse(script).unwrap_err(), message, "{script}");
        }
    }
}
