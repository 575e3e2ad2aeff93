//! Expansion of words: variables, command substitution, arithmetic, splitting.

use tokio::sync::mpsc;

use super::parse::{Part, Word};
use super::{Input, PIPE, Shell, Sink, Stdio, Target, collect};
use crate::api::Output;

impl Shell {
    /// Words, with the unquoted results of expansion split at white space.
    pub(super) async fn expand_all(&mut self, words: &[Word]) -> Vec<String> {
        let mut expanded = Vec::new();
        for word in words {
            let mut field: Option<String> = None;
            for part in word {
                let (text, splits) = self.expand_part(part).await;
                if !splits {
                    field.get_or_insert_default().push_str(&text);
                    continue;
                }
                let mut pieces = text.split_whitespace();
                if text.starts_with(char::is_whitespace) {
                    expanded.extend(field.take());
                }
                if let Some(piece) = pieces.next() {
                    field.get_or_insert_default().push_str(piece);
                }
                for piece in pieces {
                    expanded.extend(field.replace(piece.to_owned()));
                }
                if text.ends_with(char::is_whitespace) {
                    expanded.extend(field.take());
                }
            }
            expanded.extend(field);
        }
        expanded
    }

    /// A word without splitting.
    pub(super) async fn expand_one(&mut self, word: &Word) -> String {
        let mut expanded = String::new();
        for part in word {
            expanded.push_str(&self.expand_part(part).await.0);
        }
        expanded
    }

    /// The text of a part, and whether it is to be split.
    async fn expand_part(&mut self, part: &Part) -> (String, bool) {
        match part {
            Part::Text(text, _) => (text.clone(), false),
            Part::Variable { name, default, quoted } => {
                let value = self.variable(name).filter(|value| default.is_none() || !value.is_empty());
                (value.or_else(|| default.clone()).unwrap_or_default(), !quoted)
            }
            Part::Arithmetic(expression) => (self.arithmetic(expression).to_string(), false),
            Part::Output { list, quoted } => {
                let (out, captured) = mpsc::channel(PIPE);
                let sink = std::mem::replace(&mut self.sink, Sink::Capture(out));
                let (target, nothing) = (Target::Sink(Output::Stdout), Target::Sink(Output::Stderr));
                let stdio = Stdio { input: Input::Inherited, out: target, err: nothing };
                let run = async {
                    let code = self.list(list, &stdio).await;
                    self.sink = sink; // drops the pipe's writing end
                    code
                };
                let (_, output) = tokio::join!(run, collect(captured));
                self.exit = None; // `exit` leaves the substitution only
                (String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned(), !quoted)
            }
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.last.to_string()),
            "$" => Some("1".to_owned()),
            "#" => Some((self.arguments.len() - 1).to_string()),
            "@" | "*" => Some(self.arguments[1..].join(" ")),
            name => match name.parse::<usize>() {
                Ok(index) => self.arguments.get(index).cloned(),
                Err(_) => self.variables.get(name).cloned(),
            },
        }
    }

    /// Sums, differences and products, from left to right; unknown words count as 0.
    fn arithmetic(&self, expression: &str) -> i64 {
        let spaced =
            ["+", "-", "*"].iter().fold(expression.to_owned(), |text, op| text.replace(op, &format!(" {op} ")));
        let (mut value, mut operator) = (0_i64, "+");
        for word in spaced.split_whitespace() {
            match word {
                "+" | "-" | "*" => operator = word,
                word => {
                    let name = word.trim_start_matches('$');
                    let number = word.parse().ok().or_else(|| self.variable(name)?.parse().ok()).unwrap_or(0);
                    value = match operator {
                        "+" => value.wrapping_add(number),
                        "-" => value.wrapping_sub(number),
                        _ => value.wrapping_mul(number),
                    };
                }
            }
        }
        value
    }
}
