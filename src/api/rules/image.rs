//! References to images.

/// The tag of an image reference, without the digest: `v1` of `nginx:v1`, `latest` where there is neither tag nor
/// digest, empty where there is only a digest.
///
/// ```
/// use orchestrion::api::rules::image::tag;
/// assert_eq!(tag("nginx"), "latest");
/// assert_eq!(tag("localhost:5000/nginx:1.27"), "1.27");
/// assert_eq!(tag("nginx@sha256:00"), "");
/// ```
pub fn tag(image: &str) -> &str {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    match (last.split_once(':'), digest) {
        (Some((_, tag)), _) => tag,
        (None, Some(_)) => "",
        (None, None) => "latest",
    }
}

/// The pull policy that an image gets where none is set: `Always` for `latest`.
pub fn default_pull_policy(image: &str) -> &'static str {
    if tag(image) == "latest" { "Always" } else { "IfNotPresent" }
}
