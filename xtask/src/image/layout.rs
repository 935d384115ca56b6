//! An OCI image layout: a folder of blobs named by their digests.
//!
//! The crate `ocidir` does this too, but writes the time of the build into images; this is the part of it that an
//! image from scratch with one layer needs, with the documents' types by `oci-spec`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, DescriptorBuilder, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, Os, PlatformBuilder, RootFsBuilder, SCHEMA_VERSION, Sha256Digest,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::workspace::{create_folder, remove_folder};

/// A file of an image.
pub(crate) struct File {
    /// Its path without a slash at the beginning.
    pub(crate) path: String,
    /// Its permissions.
    pub(crate) mode: u32,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

/// What an image runs.
pub(crate) struct Program<'a> {
    /// Its path.
    pub(crate) path: &'a str,
    /// Its argument unless told otherwise.
    pub(crate) argument: &'a str,
    /// Who runs it unless told otherwise: numbers of user and group.
    pub(crate) user: &'a str,
}

/// A layout that is being written.
pub(crate) struct Layout {
    folder: PathBuf,
    manifests: Vec<Descriptor>,
}

impl Layout {
    /// Begins one in an empty folder.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        remove_folder(folder)?;
        create_folder(&folder.join("blobs/sha256"))?;
        let layout = Self { folder: folder.to_owned(), manifests: Vec::new() };
        layout.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(layout)
    }

    /// Adds the image of one architecture.
    pub(crate) fn add(&mut self, architecture: Arch, program: &Program<'_>, files: &[File]) -> Result<()> {
        let tar = tar(files)?;
        let layer = self.blob(&gzip(&tar)?, MediaType::ImageLayerGzip)?;
        let config = ConfigBuilder::default()
            .user(program.user)
            .env(vec!["PATH=/usr/bin".to_owned()])
            .entrypoint(vec![program.path.to_owned()])
            .cmd(vec![program.argument.to_owned()])
            .build()?;
        let root = RootFsBuilder::default().diff_ids(vec![format!("sha256:{}", hash(&tar))]).build()?;
        let image = ImageConfigurationBuilder::default()
            .architecture(architecture.clone())
            .os(Os::Linux)
            .config(config)
            .rootfs(root)
            .build()?;
        let config = self.document(&image, MediaType::ImageConfig)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers(vec![layer])
            .build()?;
        let mut descriptor = self.document(&manifest, MediaType::ImageManifest)?;
        let platform = PlatformBuilder::default().architecture(architecture).os(Os::Linux).build()?;
        descriptor.set_platform(Some(platform));
        self.manifests.push(descriptor);
        Ok(())
    }

    /// Writes the index; its digest is that of the image.
    pub(crate) fn finish(self) -> Result<String> {
        let index = |manifests| {
            ImageIndexBuilder::default()
                .schema_version(SCHEMA_VERSION)
                .media_type(MediaType::ImageIndex)
                .manifests(manifests)
                .build()
        };
        let image = self.document(&index(self.manifests.clone())?, MediaType::ImageIndex)?;
        let digest = image.digest().to_string();
        self.write("index.json", &json(&index(vec![image])?)?)?;
        Ok(digest)
    }

    fn document(&self, document: &impl Serialize, kind: MediaType) -> Result<Descriptor> {
        self.blob(&json(document)?, kind)
    }

    fn blob(&self, bytes: &[u8], kind: MediaType) -> Result<Descriptor> {
        let hash = hash(bytes);
        self.write(&format!("blobs/sha256/{hash}"), bytes)?;
        let digest: Sha256Digest = hash.parse().context("a digest")?;
        let descriptor =
            DescriptorBuilder::default().media_type(kind).size(bytes.len() as u64).digest(digest);
        Ok(descriptor.build()?)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
    }
}

/// With sorted keys: the types keep some in maps without an order.
fn json(document: &impl Serialize) -> Result<Vec<u8>> {
    let value = serde_json::to_value(document).context("writing JSON")?;
    serde_json::to_vec(&value).context("writing JSON")
}

fn hash(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The files with their folders, all of root and from 1970.
fn tar(files: &[File]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let folders: BTreeSet<&Path> =
        files.iter().flat_map(|file| Path::new(&file.path).ancestors().skip(1)).collect();
    for folder in folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut header = header(0o755, tar::EntryType::Directory, 0);
        archive.append_data(&mut header, folder, std::io::empty()).context("adding a folder to the layer")?;
    }
    for file in files {
        let mut header = header(file.mode, tar::EntryType::Regular, file.bytes.len() as u64);
        archive
            .append_data(&mut header, &file.path, &file.bytes[..])
            .context("adding a file to the layer")?;
    }
    archive.into_inner().context("ending the layer")
}

fn header(mode: u32, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// Its header has neither a time nor a name.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).context("compressing the layer")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Removed at the end.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn written(name: &str) -> (Folder, String) {
        let folder =
            Folder(std::env::temp_dir().join(format!("tracer-layout-{name}-{}", std::process::id())));
        let mut layout = Layout::create(&folder.0).unwrap();
        let files = [File { path: "usr/bin/a".to_owned(), mode: 0o755, bytes: b"program".to_vec() }];
        let program = Program { path: "/usr/bin/a", argument: "--help", user: "1:1" };
        layout.add(Arch::Amd64, &program, &files).unwrap();
        layout.add(Arch::ARM64, &program, &files).unwrap();
        let digest = layout.finish().unwrap();
        (folder, digest)
    }

    #[test]
    fn the_same_files_give_the_same_digest() {
        assert_eq!(written("one").1, written("other").1);
    }

    #[test]
    fn every_blob_has_the_name_of_its_content() {
        let (folder, digest) = written("named");
        let blobs = folder.0.join("blobs/sha256");
        let mut names = Vec::new();
        for entry in fs::read_dir(&blobs).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(path.file_name().unwrap().to_str().unwrap(), hash(&fs::read(&path).unwrap()));
            names.push(path);
        }
        // One layer for both, two configurations, two manifests, one index.
        assert_eq!(names.len(), 6);
        assert!(blobs.join(digest.strip_prefix("sha256:").unwrap()).exists());
    }

    #[test]
    fn a_layer_holds_folders_and_files_of_root() {
        let files = [File { path: "usr/bin/a".to_owned(), mode: 0o755, bytes: b"program".to_vec() }];
        let layer = tar(&files).unwrap();
        let mut archive = tar::Archive::new(&layer[..]);
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                (
                    entry.path().unwrap().into_owned(),
                    header.mode().unwrap(),
                    header.uid().unwrap(),
                    header.mtime().unwrap(),
                )
            })
            .collect();
        let expected = ["usr", "usr/bin", "usr/bin/a"].map(|path| (PathBuf::from(path), 0o755, 0, 0));
        assert_eq!(entries, expected);
    }
}
