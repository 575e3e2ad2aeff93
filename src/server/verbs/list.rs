//! List: one snapshot, in pages.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::api::{ApiError, Consistency, Key, Kind, List, ListOptions, Revision, Target};
use crate::server::pipeline::Inner;
use crate::server::selection::Selection;
use crate::server::usage;
use crate::store::{Range, StoreError};

const TOO_OLD: &str = "The resourceVersion for the provided list is too old.";
const CONTINUE_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You \
    can start a new list without the continue parameter, or use the continue token in this response to retrieve the \
    remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
    created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// Where the next page begins: upstream's form, opaque to clients.
#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(rename = "v")]
    version: String,
    /// The snapshot; -1 for the newest (a list that goes on although its snapshot is gone).
    #[serde(rename = "rv")]
    revision: i64,
    /// The last key of the page before, and a zero byte.
    #[serde(rename = "start")]
    after: String,
}

impl Inner {
    pub(in crate::server) async fn list(&self, target: &Target, options: &ListOptions) -> Result<List, ApiError> {
        if usage::is_of(&target.kind) {
            return self.usages(target, options).await;
        }
        let selection = Selection::new(target, &options.labels, &options.fields)?;
        let continued = options.continue_token.as_deref().filter(|token| !token.is_empty());
        let mut range = Range::default();
        match (continued, options.consistency) {
            (Some(token), _) => (range.at, range.after) = decode(token, &target.kind, target.namespace())?,
            (None, Consistency::Exact(revision)) => range.at = Some(revision),
            (None, Consistency::NotOlderThan(asked)) => {
                let current = self.store.revision().await?;
                if asked > current {
                    return Err(StoreError::Future { asked, current }.into());
                }
            }
            (None, Consistency::MostRecent | Consistency::Any) => {}
        }
        if range.at.is_none()
            && range.after.is_none()
            && let Some((namespace, name)) = selection.single()
        {
            return self.list_one(&selection, namespace, name).await;
        }
        // Upstream answers "any version" from its cache, whole.
        let limit = options.limit.filter(|limit| *limit > 0 && options.consistency != Consistency::Any);
        self.list_page(&selection, range, limit).await.map_err(|error| match &error {
            StoreError::Expired { .. } => match continued {
                None => ApiError::expired(TOO_OLD),
                Some(token) => continue_expired(token),
            },
            _ => error.into(),
        })?
    }

    /// What can be one object only need not be searched for.
    async fn list_one(&self, selection: &Selection, namespace: &str, name: &str) -> Result<List, ApiError> {
        // The revision first: the object may be newer, never older than it.
        let revision = self.store.revision().await?;
        let scope = selection.scope(&*self.store);
        let found = self.store.get(&Key::new(scope.resource, namespace, name)).await?;
        let found = found.map(|object| selection.convert(object)).transpose()?;
        let items: Vec<_> = found.filter(|object| selection.matches(object)).into_iter().collect();
        let revision = items.first().map_or(revision, |object| object.revision().max(revision));
        Ok(List { items, revision, ..List::default() })
    }

    /// The page of that range: as many objects as are asked for, however many must be looked at.
    async fn list_page(
        &self,
        selection: &Selection,
        mut range: Range,
        limit: Option<usize>,
    ) -> Result<Result<List, ApiError>, StoreError> {
        let scope = selection.scope(&*self.store);
        let everything = selection.is_everything();
        let mut items = Vec::new();
        loop {
            range.limit = limit.map(|limit| limit - items.len());
            let page = self.store.list(&scope, &range).await?;
            let last = page.items.last().map(|object| object.key());
            for object in page.items {
                match selection.convert(object) {
                    Ok(object) if everything || selection.matches(&object) => items.push(object),
                    Ok(_) => {}
                    Err(error) => return Ok(Err(error)),
                }
            }
            let full = limit.is_some_and(|limit| items.len() >= limit);
            match last {
                Some(last) if page.remaining > 0 && full => {
                    return Ok(Ok(List {
                        items,
                        revision: page.revision,
                        continue_token: Some(encode(i64::try_from(page.revision.get()).unwrap_or(-1), &last)),
                        // With selectors nobody knows how many of the rest match.
                        remaining: everything.then_some(page.remaining),
                    }));
                }
                Some(last) if page.remaining > 0 => {
                    range.at = Some(page.revision);
                    range.after = Some(last);
                }
                _ => return Ok(Ok(List { items, revision: page.revision, ..List::default() })),
            }
        }
    }
}

fn encode(revision: i64, after: &Key) -> String {
    let start = match after.namespace() {
        "" => format!("{}\0", after.name()),
        namespace => format!("{namespace}/{}\0", after.name()),
    };
    token(&Token { version: "meta.k8s.io/v1".to_owned(), revision, after: start })
}

fn token(token: &Token) -> String {
    // A struct of two texts and a number always serialises.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).unwrap_or_default())
}

fn parse(text: &str) -> Result<Token, ApiError> {
    let invalid = |why: String| ApiError::bad_request(format!("continue key is not valid: {why}"));
    let json = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|error| invalid(error.to_string()))?;
    let token: Token = serde_json::from_slice(&json).map_err(|error| invalid(error.to_string()))?;
    match token.version.as_str() {
        "meta.k8s.io/v1" if token.revision == 0 => {
            Err(invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned()))
        }
        "meta.k8s.io/v1" => Ok(token),
        other => Err(invalid(format!("server does not recognize this encoded version {other:?}"))),
    }
}

fn decode(text: &str, kind: &Kind, namespace: &str) -> Result<(Option<Revision>, Option<Key>), ApiError> {
    let token = parse(text)?;
    let after = token.after.trim_end_matches('\0');
    let (within, name) = after.split_once('/').unwrap_or(("", after));
    if kind.namespaced == within.is_empty() || (!namespace.is_empty() && within != namespace) || name.is_empty() {
        return Err(ApiError::bad_request(format!("continue key is not valid: {:?}", token.after)));
    }
    let at = u64::try_from(token.revision).ok().map(Revision::from);
    Ok((at, Some(Key::new(kind.stored().clone(), within, name))))
}

/// The snapshot of a list is gone: the answer carries a token with which to go on over the newest.
fn continue_expired(text: &str) -> ApiError {
    let mut status = ApiError::expired(CONTINUE_TOO_OLD).status().clone();
    if let Ok(old) = parse(text) {
        status.metadata.continue_ = Some(token(&Token { revision: -1, ..old }));
    }
    status.into()
}
