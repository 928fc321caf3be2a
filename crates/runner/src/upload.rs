//! Brings the changed files of a task to the server, in requests of a bearable size.

use std::sync::Arc;

use client::ClientError;
use contract::{AddFile, AddFiles};
use tokio::sync::mpsc::Receiver;

use crate::lease::{Lease, persist};

/// Bytes of base64 that a request carries before it goes; with one file of the largest size on top
/// it stays below the 8 MiB of contract section 5.
const REQUEST: usize = 1 << 20;
/// Files of a request.
const FILES: usize = 200;

/// Sends files until there are no more.
///
/// # Errors
/// The server's final refusal; no file is taken after it.
pub(crate) async fn upload(
    lease: Arc<impl Lease>,
    mut files: Receiver<AddFile>,
) -> Result<(), ClientError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while let Some(file) = files.recv().await {
        let size = size(&file);
        if !batch.is_empty() && (bytes + size > REQUEST || batch.len() == FILES) {
            send(&*lease, std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
        bytes += size;
        batch.push(file);
    }
    if batch.is_empty() {
        return Ok(());
    }
    send(&*lease, batch).await
}

async fn send(lease: &impl Lease, files: Vec<AddFile>) -> Result<(), ClientError> {
    let files = AddFiles { files };
    persist("sending changed files", || lease.add_files(&files)).await
}

fn size(file: &AddFile) -> usize {
    [&file.diff_base64, &file.content_base64]
        .into_iter()
        .flatten()
        .map(String::len)
        .sum()
}

#[cfg(test)]
mod tests {
    use contract::{Code, FileChange};
    use tokio::sync::mpsc;

    use super::*;
    use crate::lease::fake::FakeLease;

    fn file(path: &str, bytes: usize) -> AddFile {
        AddFile {
            path: Some(path.to_owned()),
            path_base64: None,
            change: FileChange::Added,
            old_path: None,
            old_path_base64: None,
            mode: None,
            old_mode: None,
            diff_base64: None,
            content_base64: Some("A".repeat(bytes)),
            truncated: None,
        }
    }

    async fn sent(lease: &Arc<FakeLease>, sizes: &[usize]) -> Result<Vec<usize>, ClientError> {
        let (sender, receiver) = mpsc::channel(1);
        let uploading = tokio::spawn(upload(lease.clone(), receiver));
        for (n, size) in sizes.iter().enumerate() {
            if sender.send(file(&n.to_string(), *size)).await.is_err() {
                break;
            }
        }
        drop(sender);
        uploading.await.unwrap()?;
        let requests = lease.files.lock().unwrap();
        let names = requests
            .iter()
            .flatten()
            .map(|file| file.path.clone().unwrap());
        let expected: Vec<String> = (0..sizes.len()).map(|n| n.to_string()).collect();
        assert_eq!(names.collect::<Vec<_>>(), expected, "all, in order");
        Ok(requests.iter().map(Vec::len).collect())
    }

    #[tokio::test]
    async fn requests_keep_their_sizes() {
        let lengths = async |sizes: &[usize]| sent(&Arc::default(), sizes).await.unwrap();
        assert!(lengths(&[]).await.is_empty());
        assert_eq!(lengths(&[REQUEST / 2; 5]).await, [2, 2, 1]);
        assert_eq!(lengths(&[1, 6 << 20, 1]).await, [1, 1, 1]);
        assert_eq!(lengths(&[0; FILES + 1]).await, [FILES, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_request_is_repeated_and_a_refusal_is_the_end() {
        let lease = Arc::new(FakeLease::default());
        lease.uploads.lock().unwrap().push_back(Code::Unavailable);
        assert_eq!(sent(&lease, &[1]).await.unwrap(), [1]);
        lease.uploads.lock().unwrap().push_back(Code::LeaseLost);
        let refused = sent(&lease, &[REQUEST; 9]).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::LeaseLost));
    }
}
