//! Images.

use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::{ImageInspect, ImageSummary};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures::TryStreamExt;

use super::DockerRuntime;
use super::error::{failed, is_missing, message, unless_done};
use crate::runtime::image::qualified;
use crate::runtime::{Credential, Image, Result, RuntimeError};

/// What the engine lists in the place of a name that an image does not have.
const NO_TAG: &str = "<none>";

impl DockerRuntime {
    pub(super) async fn find_image(&self, name: &str) -> Result<Option<Image>> {
        let full = qualified(name).ok_or_else(|| RuntimeError::ImageName(name.to_owned()))?;
        match self.docker().inspect_image(&full).await {
            Ok(found) => Ok(Some(self.mark(inspected(found)))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed(format!("look at image {name}"), error)),
        }
    }

    pub(super) async fn fetch_image(&self, name: &str, credentials: &[Credential]) -> Result<Image> {
        let full = qualified(name).ok_or_else(|| RuntimeError::ImageName(name.to_owned()))?;
        // Those that fit, one after the other; none where none does.
        let fitting = credentials.iter().filter(|credential| fits(&credential.registry, &full));
        let attempts: Vec<_> = fitting.map(Some).collect();
        let attempts = if attempts.is_empty() { vec![None] } else { attempts };
        // One that is there already is somebody else's.
        let known = self.find_image(name).await?;
        let mut refusal = None;
        for credential in attempts {
            match self.pull(&full, credential).await {
                Ok(()) => {
                    let found = self.find_image(name).await?;
                    if known.is_none() {
                        self.cluster().note_fetched(&full);
                    }
                    return found.map(|found| self.mark(found)).ok_or_else(|| RuntimeError::Pull {
                        image: name.to_owned(),
                        message: format!("failed to pull and unpack image {full:?}: it is not there"),
                    });
                }
                Err(error) => refusal = Some(message(error)),
            }
        }
        let why = refusal.unwrap_or_default();
        Err(RuntimeError::Pull {
            image: name.to_owned(),
            message: format!("failed to pull and unpack image {full:?}: {why}"),
        })
    }

    async fn pull(&self, full: &str, credential: Option<&Credential>) -> Result<(), Error> {
        let options = CreateImageOptionsBuilder::default().from_image(full).build();
        let credentials = credential.map(|credential| DockerCredentials {
            username: Some(credential.username.clone()),
            password: Some(credential.password.clone()),
            serveraddress: Some(credential.registry.clone()),
            ..DockerCredentials::default()
        });
        let progress = self.docker().create_image(Some(options), None, credentials);
        progress.try_for_each(|_| async { Ok(()) }).await
    }

    pub(super) async fn all_images(&self) -> Result<Vec<Image>> {
        let options = ListImagesOptionsBuilder::default().build();
        let found = self.docker().list_images(Some(options)).await;
        let found = found.map_err(|error| failed("list images", error))?;
        Ok(found.into_iter().map(|one| self.mark(listed(one))).collect())
    }

    /// An engine's images may be anybody's: one that has a name under which this cluster did not fetch it is kept.
    fn mark(&self, image: Image) -> Image {
        let mut tags = image.names.iter().filter(|name| !name.contains('@')).peekable();
        let own = tags.peek().is_some() && tags.all(|name| self.cluster().has_fetched(name));
        Image { pinned: !own, ..image }
    }

    pub(super) async fn drop_image(&self, name: &str) -> Result<()> {
        let full = if name.starts_with("sha256:") {
            let users = [("ancestor".to_owned(), vec![name.to_owned()])].into();
            let options = ListContainersOptionsBuilder::default().all(true).filters(&users).build();
            let users = self.docker().list_containers(Some(options)).await;
            if users.is_ok_and(|users| !users.is_empty()) {
                return Err(RuntimeError::State(format!("image {name} is used by a container")));
            }
            Some(name.to_owned())
        } else {
            qualified(name)
        };
        let full = full.ok_or_else(|| RuntimeError::ImageName(name.to_owned()))?;
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        let removed = self.docker().remove_image(&full, Some(options), None).await;
        unless_done(removed.map(drop), &format!("remove image {name}"))
    }
}

/// Names in full, without those that the engine makes up.
fn names(tags: impl IntoIterator<Item = String>, digests: impl IntoIterator<Item = String>) -> Vec<String> {
    let all = tags.into_iter().chain(digests);
    all.filter(|name| !name.contains(NO_TAG)).filter_map(|name| qualified(&name)).collect()
}

fn inspected(found: ImageInspect) -> Image {
    Image {
        id: found.id.unwrap_or_default(),
        names: names(found.repo_tags.unwrap_or_default(), found.repo_digests.unwrap_or_default()),
        size: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        user: found.config.and_then(|config| config.user).unwrap_or_default(),
        pinned: true,
    }
}

fn listed(found: ImageSummary) -> Image {
    Image {
        id: found.id,
        names: names(found.repo_tags, found.repo_digests),
        size: u64::try_from(found.size).unwrap_or(0),
        user: String::new(), // only an inspection tells
        pinned: true,
    }
}

/// Whether a credential for `registry` is for that image.
fn fits(registry: &str, image: &str) -> bool {
    let registry = registry.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    // The names that Docker's own registry has had.
    let registry = match registry.trim_end_matches("/v1").trim_end_matches("/v2") {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "docker.io",
        other => other,
    };
    image.strip_prefix(registry).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_for_the_images_of_its_registry() {
        assert!(fits("https://index.docker.io/v1/", "docker.io/library/nginx:latest"));
        assert!(fits("registry.example.com/team", "registry.example.com/team/app:1"));
        assert!(!fits("registry.example.com/team", "registry.example.com/teams/app:1"));
        assert!(!fits("registry.example.com", "docker.io/library/nginx:latest"));
    }

    #[test]
    fn made_up_names_are_not_told() {
        let names = names(["<none>:<none>".into(), "busybox:1".into()], ["busybox@sha256:00".into()]);
        assert_eq!(names, ["docker.io/library/busybox:1", "docker.io/library/busybox@sha256:00"]);
    }
}
