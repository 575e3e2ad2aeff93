//! Images.

use std::fmt;

/// An image that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its digest: `sha256:…`.
    pub id: String,
    /// Its names: tags and digest references, fully qualified.
    pub names: Vec<String>,
    /// Its size in bytes.
    pub size: u64,
    /// The user that its program runs as: a number, or a name.
    pub user: String,
    /// Whether it is kept although no container uses it.
    pub pinned: bool,
}

/// A credential for a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The registry, as a prefix of image names.
    pub registry: String,
    /// The user.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({} at {})", self.username, self.registry)
    }
}

/// An image name in full: `nginx` is `docker.io/library/nginx:latest`. `None` where it makes no sense.
pub(crate) fn qualified(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if name.is_empty() || !name.chars().all(allowed) || name.ends_with([':', '/', '@']) || name.starts_with('/') {
        return None;
    }
    let (before, rest) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => ("", rest),
        Some(_) => ("docker.io/", name),
        None => ("docker.io/library/", name),
    };
    let path = rest.split('@').next().unwrap_or_default();
    let repository = path.rsplit_once(':').map_or(path, |(repository, _)| repository);
    if repository.is_empty() || repository.chars().any(|c| c.is_ascii_uppercase()) {
        return None;
    }
    let tag = if rest.contains('@') || path.contains(':') { "" } else { ":latest" };
    Some([before, name, tag].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_image_names_are_completed_and_bad_ones_refused() {
        for (name, full) in [
            ("nginx", Some("docker.io/library/nginx:latest")),
            ("nginx:1.25", Some("docker.io/library/nginx:1.25")),
            ("polarsquad/hello-world-app:master", Some("docker.io/polarsquad/hello-world-app:master")),
            ("registry.k8s.io/pause:3.10", Some("registry.k8s.io/pause:3.10")),
            ("localhost:5000/a/b", Some("localhost:5000/a/b:latest")),
            ("a@sha256:00", Some("docker.io/library/a@sha256:00")),
            ("Nginx", None),
            ("ng inx", None),
            ("nginx:", None),
            ("", None),
        ] {
            assert_eq!(qualified(name).as_deref(), full, "{name}");
        }
    }
}
