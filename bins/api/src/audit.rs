//! `api audit`: the log and its decisions as a file that can be checked without a server or a database
//! (ADR 0018), and the head to keep elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use approval_core::{AccountId, AuditApproval, AuditRow, AuditVerdict, AuditVerifier};
use store::Admin;

use crate::Failure;
use crate::admin::admin;
use crate::audit_lines::{self, Line};
use crate::cli::{AuditExport, AuditHeadOptions, AuditVerify};

/// Longest line that is read, in bytes: a manifest of 10,000 paths has far less.
const MAX_LINE: u64 = 256 * 1024 * 1024;
/// Exit code for findings.
const FINDINGS: u8 = 1;
/// Exit code for a file that could not be read, as for a wrong command line.
const USAGE: u8 = 2;

/// Prints where the log ends.
pub(crate) fn head(options: &AuditHeadOptions) -> Result<(), Failure> {
    let admin = admin(options.database.url()?)?;
    let account = admin.account(options.account.as_deref())?;
    println!("{}", admin.audit_head(account)?);
    Ok(())
}

/// Writes the log and all approvals of an account.
pub(crate) fn export(options: &AuditExport) -> Result<(), Failure> {
    let admin = admin(options.database.url()?)?;
    let account = admin.account(options.account.as_deref())?;
    match &options.out {
        None => write_export(&admin, account, &mut BufWriter::new(io::stdout().lock())),
        Some(path) => {
            let name = || path.display();
            write_file(path, |file| {
                write_export(&admin, account, &mut BufWriter::new(file))
            })
            .map_err(|failure| format!("cannot write {}: {failure}", name()).into())
        }
    }
}

fn write_export(admin: &Admin, account: AccountId, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{}", audit_lines::header(account))?;
    let out = std::cell::RefCell::new(out);
    let (mut rows, mut approvals) = (0, 0);
    let head = admin.audit::<Failure>(
        account,
        |row| {
            rows += 1;
            let line = audit_lines::row(account, row)?;
            Ok(writeln!(out.borrow_mut(), "{line}")?)
        },
        |approval| {
            approvals += 1;
            let line = audit_lines::approval(approval);
            Ok(writeln!(out.borrow_mut(), "{line}")?)
        },
    )?;
    let mut out = out.borrow_mut();
    writeln!(out, "{}", audit_lines::trailer(head, rows, approvals))?;
    Ok(out.flush()?)
}

/// Makes a file that is there whole or not at all, for its owner only. What has the name already stays.
fn write_file(
    path: &Path,
    write: impl FnOnce(&File) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if path.symlink_metadata().is_ok() {
        return Err("it exists already".into());
    }
    let temporary = temporary_name(path)?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let done = write(&file).and_then(|()| {
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        Ok(File::open(folder)?.sync_all()?)
    });
    if done.is_err() {
        // the failure to report is the first one
        let _ = std::fs::remove_file(&temporary);
    }
    done
}

/// Beside the file, so that it can be renamed.
fn temporary_name(path: &Path) -> Result<PathBuf, Failure> {
    let mut name = path.file_name().ok_or("it has no file name")?.to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    Ok(path.with_file_name(name))
}

/// Checks an exported file and says what is wrong with it. Opens no database.
pub(crate) fn verify(options: &AuditVerify) -> ExitCode {
    let checked = if options.file == Path::new("-") {
        check(io::stdin().lock(), options)
    } else {
        File::open(&options.file).and_then(|file| check(BufReader::new(file), options))
    };
    match checked {
        Ok(verdict) => report(&verdict, options),
        Err(error) => {
            eprintln!("api: cannot read {}: {error}", options.file.display());
            ExitCode::from(USAGE)
        }
    }
}

fn check(mut input: impl BufRead, options: &AuditVerify) -> io::Result<AuditVerdict> {
    let mut verifier = AuditVerifier::new(&options.head);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\n") {
            None if line.is_empty() => break,
            None => verifier.unreadable(number, "a line without an end"),
            Some(line) => check_line(&mut verifier, number, line),
        }
    }
    Ok(verifier.finish())
}

/// Checks the log and the approvals of an account where they are, as [`verify`] does an exported file.
pub(crate) fn check_account(admin: &Admin, account: AccountId) -> Result<AuditVerdict, Failure> {
    let mut lines = Lines {
        verifier: AuditVerifier::new(&[]),
        number: 0,
        begun: Vec::new(),
    };
    write_export(admin, account, &mut lines)?;
    Ok(lines.verifier.finish())
}

/// Checks what is written to it, line by line.
struct Lines {
    verifier: AuditVerifier,
    number: u64,
    /// What was written of the next line.
    begun: Vec<u8>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if let Some(line) = self.begun.strip_suffix(b"\n") {
                self.number += 1;
                check_line(&mut self.verifier, self.number, line);
                self.begun.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn check_line(verifier: &mut AuditVerifier, number: u64, line: &[u8]) {
    match audit_lines::read(line) {
        Ok(Line::Header(account)) => verifier.header(number, account),
        Ok(Line::Row(row)) => verifier.row(
            number,
            &AuditRow {
                entry: row.entry(),
                hash: row.hash,
                event: row.event,
            },
        ),
        Ok(Line::Approval(sealed)) => verifier.approval(
            number,
            &AuditApproval {
                approval: &sealed.approval,
                manifest: &sealed.manifest,
                manifest_of: sealed.manifest_of,
            },
        ),
        Ok(Line::Trailer(trailer)) => {
            verifier.trailer(number, trailer.head, trailer.rows, trailer.approvals);
        }
        Err(why) => verifier.unreadable(number, &why),
    }
}

fn report(verdict: &AuditVerdict, options: &AuditVerify) -> ExitCode {
    for finding in &verdict.findings {
        println!("{finding}");
    }
    if verdict.more > 0 {
        println!("and {} more", verdict.more);
    }
    let (rows, approvals, head) = (verdict.rows, verdict.approvals, verdict.head);
    if !verdict.is_clean() {
        println!("NOT as the server wrote it: {rows} rows, {approvals} approvals, head {head}");
        return ExitCode::from(FINDINGS);
    }
    println!("whole: {rows} rows, {approvals} approvals, head {head}");
    if options.head.is_empty() {
        println!(
            "No saved head was given (--head): a tail that was cut off, or a history that was \
             written anew as a whole, cannot be seen."
        );
    }
    ExitCode::SUCCESS
}
