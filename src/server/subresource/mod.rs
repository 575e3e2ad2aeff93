//! Subresources: parts of an object that are written apart (`status`, `resize`, …), and things that are done to one
//! (`binding`, `eviction`, `token`, streams).

mod binding;
mod connect;
mod eviction;
pub(super) mod scale;
mod token;

pub(super) use self::connect::name_of;
pub use self::token::{IssuedToken, TokenIssuer, TokenRequestContext};

use super::error;
use super::pipeline::{Inner, Part, Pipeline};
use crate::api::{ApiError, Body, Call, Draft, KindRef, Object, Target, WriteOptions};

/// The part of an object that a target names, where it is one that is written like the object itself.
pub(super) fn part(target: &Target) -> Option<Part<'_>> {
    match target.subresource.as_str() {
        "" => Some(Part::Main),
        "status" => Some(Part::Status),
        name => target.kind.subresource(name).filter(|subresource| subresource.body.is_none()).map(|_| Part::Sub(name)),
    }
}

/// What is done by posting.
#[derive(Clone, Copy, Debug)]
pub(super) enum Post {
    Review,
    Binding,
    Eviction,
    Token,
}

/// Resources and subresources that are posted to: group, resource, subresource.
const POSTS: &[(&str, &str, &str, Post)] = &[
    ("", "pods", "binding", Post::Binding),
    ("", "bindings", "", Post::Binding),
    ("", "pods", "eviction", Post::Eviction),
    ("", "serviceaccounts", "token", Post::Token),
];

/// What posting to a target does, where it does not create an object: kinds that can be created and not read are
/// questions.
pub(super) fn post(target: &Target) -> Option<Post> {
    let resource = target.kind.stored();
    if target.kind.verbs == ["create"] && target.subresource.is_empty() && resource.resource() != "bindings" {
        return Some(Post::Review);
    }
    let wanted = (resource.group(), resource.resource(), target.subresource.as_str());
    POSTS.iter().find(|(group, plural, sub, _)| wanted == (*group, *plural, *sub)).map(|row| row.3)
}

impl Inner {
    pub(super) async fn post(
        &self,
        post: Post,
        call: &Call,
        target: &Target,
        draft: Draft,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        match post {
            Post::Review => self.answer(call, draft).await,
            Post::Binding => self.bind(call, target, draft, options).await,
            // Boxed: every creation has room for what may come of a post, and this takes much.
            Post::Eviction => Box::pin(self.evict(call, target, draft, options)).await,
            Post::Token => self.issue_token(call, target, draft, options).await,
        }
    }

    fn pods(&self) -> Result<KindRef, ApiError> {
        self.kinds.by_kind("", "v1", "Pod").ok_or_else(error::no_such_resource)
    }

    /// The pipeline for another write that a posted body leads to.
    fn pipeline<'a>(&'a self, call: &'a Call, target: &'a Target, dry_run: bool) -> Pipeline<'a> {
        Pipeline::new(self, call, target, dry_run)
    }
}

/// The body of a subresource, as the type that it must be.
fn expect<'a, T: Body>(draft: &'a Draft, kind: &str) -> Result<&'a T, ApiError> {
    draft.typed().ok_or_else(|| ApiError::bad_request(format!("not a {kind} object: {}", draft.kind().kind)))
}
