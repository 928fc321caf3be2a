//! `cargo xtask vendor-assets`: what the dashboard takes from npm packages, kept in the repository
//! so that neither a build nor an installation needs npm. `manifest.json` lists every file with its
//! checksum; the sprite of icons is made from the icons listed there.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Args;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::shell::{Failure, Shell};

const DIRECTORY: &str = "crates/web/assets/vendor";
const MANIFEST: &str = "crates/web/assets/vendor/manifest.json";
const SPRITE: &str = "crates/web/assets/icons.svg";

/// Fetch the files of crates/web/assets/vendor from npm as its manifest lists them
#[derive(Args)]
pub struct Options {
    /// Change nothing and use no network; fail if a file is not as the manifest says
    #[arg(long)]
    check: bool,
}

/// Refreshes or checks the files.
///
/// # Errors
/// When a package cannot be had, or a file cannot be read, written or differs.
pub fn run(shell: &Shell, options: &Options) -> Result<(), Failure> {
    if options.check {
        return check(shell);
    }
    let mut manifest = manifest(shell)?;
    let target = tempfile::tempdir().map_err(|source| Failure::File {
        path: "a temporary directory".into(),
        source,
    })?;
    for package in list_mut(&mut manifest, "packages") {
        let unpacked = unpack(shell, package, target.path())?;
        let directory = shell.path(DIRECTORY).join(text(package, "directory"));
        for file in list_mut(package, "files") {
            let bytes = read(&unpacked.join(text(file, "from")))?;
            file["sha256"] = Value::String(hex(&bytes));
            write(&directory.join(text(file, "to")), &bytes)?;
        }
    }
    let mut json = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    json.push('\n');
    write(&shell.path(MANIFEST), json.as_bytes())?;
    write(&shell.path(SPRITE), sprite(shell, &manifest)?.as_bytes())
}

/// Fails unless every file is there, is what the manifest says, and nothing else lies beside them.
///
/// # Errors
/// The first difference.
pub fn check(shell: &Shell) -> Result<(), Failure> {
    let manifest = manifest(shell)?;
    let mut listed = vec![shell.path(MANIFEST)];
    for package in list(&manifest, "packages") {
        let directory = shell.path(DIRECTORY).join(text(package, "directory"));
        for file in list(package, "files") {
            let path = directory.join(text(file, "to"));
            if hex(&read(&path)?) != text(file, "sha256") {
                return Err(differs(&path.display().to_string()));
            }
            listed.push(path);
        }
    }
    for path in files(&shell.path(DIRECTORY))? {
        if !listed.contains(&path) {
            return Err(Failure::Check(format!(
                "{} is not in {MANIFEST}",
                path.display()
            )));
        }
    }
    if shell.read(SPRITE)? == sprite(shell, &manifest)? {
        Ok(())
    } else {
        Err(differs(SPRITE))
    }
}

fn differs(path: &str) -> Failure {
    Failure::Check(format!(
        "{path} is not what {MANIFEST} says; run `cargo xtask vendor-assets` and commit the result"
    ))
}

/// Downloads a package with npm, which checks it against the registry, and unpacks it.
fn unpack(shell: &Shell, package: &Value, target: &Path) -> Result<std::path::PathBuf, Failure> {
    let directory = target.join(text(package, "directory"));
    fs::create_dir_all(&directory).map_err(|source| Failure::File {
        path: directory.clone(),
        source,
    })?;
    let name = format!("{}@{}", text(package, "npm"), text(package, "version"));
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", "--pack-destination"])
        .arg(&directory)
        .arg(name);
    let tarball = shell.output(&mut pack)?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf")
        .arg(directory.join(tarball.trim()))
        .arg("-C")
        .arg(&directory);
    shell.run(&mut tar)?;
    Ok(directory.join("package"))
}

/// One `<symbol>` an icon, with only the shapes of it: size, colour and stroke are up to the style
/// sheet.
fn sprite(shell: &Shell, manifest: &Value) -> Result<String, Failure> {
    let mut sprite = String::from(
        "<svg class=\"sprite\" xmlns=\"http://www.w3.org/2000/svg\" width=\"0\" height=\"0\" aria-hidden=\"true\" focusable=\"false\">",
    );
    for package in list(manifest, "packages") {
        for file in list(package, "files") {
            let path = text(file, "to");
            let Some(name) = path
                .strip_prefix("icons/")
                .and_then(|name| name.strip_suffix(".svg"))
            else {
                continue;
            };
            let file = format!("{DIRECTORY}/{}/{path}", text(package, "directory"));
            let source = shell.read(&file)?;
            let shapes = source
                .split_once("<svg")
                .and_then(|(_, rest)| rest.split_once('>'))
                .and_then(|(_, rest)| rest.rsplit_once("</svg>"))
                .map(|(shapes, _)| shapes.lines().map(str::trim).collect::<String>())
                .ok_or_else(|| Failure::Check(format!("{file} is no SVG")))?;
            let _ = write!(
                sprite,
                "<symbol id=\"i-{name}\" viewBox=\"0 0 24 24\">{shapes}</symbol>"
            );
        }
    }
    sprite.push_str("</svg>\n");
    Ok(sprite)
}

fn manifest(shell: &Shell) -> Result<Value, Failure> {
    serde_json::from_str(&shell.read(MANIFEST)?)
        .map_err(|error| Failure::Check(format!("{MANIFEST}: {error}")))
}

fn files(directory: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let failed = |source| Failure::File {
        path: directory.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|source| Failure::File {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |source| Failure::File {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(path, bytes).map_err(failed)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn list_mut<'a>(value: &'a mut Value, key: &str) -> &'a mut [Value] {
    value[key].as_array_mut().map_or(&mut [], Vec::as_mut_slice)
}
