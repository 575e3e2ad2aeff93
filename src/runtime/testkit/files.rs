//! Files of the pod in its containers.

use super::{end, logs, run, sandbox, script, start};
use crate::api::LogOptions;
use crate::runtime::{ContainerConfig, File, FileTree, Medium, Mount, MountSource, PathKind, Runtime};

fn mount(volume: &str, source: MountSource, sub_path: &str) -> Mount {
    Mount {
        volume: volume.to_owned(),
        path: format!("/{volume}"),
        source,
        sub_path: sub_path.to_owned(),
        read_only: false,
        propagation: String::new(),
    }
}

/// Files that are mounted are there, with what they hold; a later version of them shows when the agent says so.
pub async fn mounted_files_follow_their_source(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "files").await;
    let version = |text: &str| [("a".to_owned(), File::new(text.to_owned())), ("b/c".to_owned(), File::new("deep\n"))];
    let files: FileTree = version("first\n").into_iter().collect();
    let whole = mount("whole", MountSource::Files(files.clone()), "");
    let part = mount("part", MountSource::Files(files.clone()), "b/c");
    let config = ContainerConfig {
        mounts: vec![Mount { path: "/part/file".to_owned(), ..part }, whole],
        ..script(image, "cat /whole/a /whole/b/c /part/file; sleep 3600")
    };
    let id = start(runtime, &sandbox, &config).await;
    assert_eq!(run(runtime, &id, "cat /whole/a /whole/b/c /part/file").await, "first\ndeep\ndeep\n");
    files.replace([("a".to_owned(), File::new("second\n"))].into());
    runtime.refresh_files(&sandbox.id, "whole", &files).await.expect("the new files");
    assert_eq!(run(runtime, &id, "cat /whole/a").await, "second\n");
    let gone = runtime.exec_sync(&id, &["cat".to_owned(), "/whole/b/c".to_owned()], None).await.expect("an answer");
    assert_ne!(gone.code, 0, "what the new version does not have is gone");
}

/// Containers of a pod share its directories, also a part of one, until the pod's end; read-only mounts refuse writing.
pub async fn containers_share_directories(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "shared").await;
    for medium in [Medium::Disk, Medium::Memory] {
        let name = format!("{medium:?}").to_lowercase();
        let source = MountSource::Directory(FileTree::default(), medium);
        let with = |sub_path: &str, read_only, text: &str| ContainerConfig {
            mounts: vec![Mount { read_only, ..mount(&name, source.clone(), sub_path) }],
            ..script(image, text)
        };
        let writes = start(runtime, &sandbox, &with("of/one", false, &format!("echo told > /{name}/file"))).await;
        assert_eq!(end(runtime, &writes).await.code, 0);
        let reads = start(runtime, &sandbox, &with("", false, &format!("cat /{name}/of/one/file"))).await;
        end(runtime, &reads).await;
        assert_eq!(logs(runtime, &reads, &LogOptions::default()).await, "told\n");
        let refused = start(runtime, &sandbox, &with("", true, &format!("echo more > /{name}/file"))).await;
        assert_ne!(end(runtime, &refused).await.code, 0, "it was mounted read-only");
    }
}

/// What a container leaves in its termination message file is told when it has ended; the end of its log stands in
/// where that is asked for, the file is empty and the container has failed.
pub async fn last_words_are_told(runtime: &dyn Runtime, image: &str) {
    let sandbox = sandbox(runtime, "words").await;
    let path = "/dev/termination-log";
    for (text, from_log, message) in [
        (format!("echo logged; echo told > {path}; exit 1"), true, "told\n"),
        ("echo logged; exit 1".to_owned(), true, "logged\n"),
        ("echo logged; exit 1".to_owned(), false, ""),
        ("echo logged".to_owned(), true, ""),
    ] {
        let config = ContainerConfig {
            termination_message_path: path.to_owned(),
            message_from_log: from_log,
            ..script(image, &text)
        };
        let id = start(runtime, &sandbox, &config).await;
        assert_eq!(end(runtime, &id).await.message, message, "{text}");
    }
}

/// What there is at paths of the node is told, and made where it is asked for.
pub async fn paths_of_the_node_are_told_and_made(runtime: &dyn Runtime) {
    let base = std::env::temp_dir().join(format!("orchestrion-kit-{}", std::process::id()));
    let path = |name: &str| base.join(name).display().to_string();
    assert_eq!(runtime.host_path(&path("none")).await.expect("nothing"), None);
    assert_eq!(runtime.read_host_directory(&path("none")).await.expect("nothing"), None);
    assert!(runtime.make_host_path(&path("none/file"), PathKind::File).await.is_err(), "there is no directory for it");
    runtime.make_host_path(&path("made/deep"), PathKind::Directory).await.expect("a directory");
    runtime.make_host_path(&path("made/file"), PathKind::File).await.expect("a file");
    for (name, kind) in
        [("made", PathKind::Directory), ("made/deep", PathKind::Directory), ("made/file", PathKind::File)]
    {
        assert_eq!(runtime.host_path(&path(name)).await.expect("its kind"), Some(kind), "{name}");
    }
    let found = runtime.read_host_directory(&path("made")).await.expect("its files").expect("a directory");
    assert_eq!(
        found.into_iter().map(|(name, content)| (name, content.len())).collect::<Vec<_>>(),
        [("file".to_owned(), 0)]
    );
    let _ = std::fs::remove_dir_all(base); // where the node is this machine
}
