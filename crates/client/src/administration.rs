//! Desktops and API keys (contract sections 5 and 6).

use contract::{ApiKey, CreateApiKey, CreateDesktop, CreatedApiKey, Desktop};
use reqwest::{Method, Url};

use crate::{Client, ClientError, Page};

impl Client {
    pub(crate) fn desktop_url(&self, rest: &[&str]) -> Url {
        self.url(&[&["api", "desktops"], rest].concat())
    }

    fn api_key_url(&self, rest: &[&str]) -> Url {
        self.url(&[&["api", "auth", "api-keys"], rest].concat())
    }

    /// The desktops of the account.
    pub async fn desktops(&self) -> Result<Page<Desktop>, ClientError> {
        self.page(self.desktop_url(&[])).await
    }

    /// A desktop.
    pub async fn desktop(&self, id: &str) -> Result<Desktop, ClientError> {
        self.get(self.desktop_url(&[id])).await
    }

    /// Creates a desktop.
    pub async fn create_desktop(&self, desktop: &CreateDesktop) -> Result<Desktop, ClientError> {
        self.change(Method::POST, self.desktop_url(&[]), desktop)
            .await
    }

    /// Deletes a desktop: its keys are revoked, its running tasks fail, its pending ones are
    /// cancelled.
    pub async fn delete_desktop(&self, id: &str) -> Result<(), ClientError> {
        self.delete(self.desktop_url(&[id])).await
    }

    /// The API keys of the account, without their texts.
    pub async fn api_keys(&self) -> Result<Page<ApiKey>, ClientError> {
        self.page(self.api_key_url(&[])).await
    }

    /// Creates an API key. Its text is in this answer only: if no answer arrives, a repeat is
    /// refused with `secret-not-repeatable` and the `id` of the key, to be deleted.
    pub async fn create_api_key(&self, key: &CreateApiKey) -> Result<CreatedApiKey, ClientError> {
        self.change(Method::POST, self.api_key_url(&[]), key).await
    }

    /// Revokes an API key.
    pub async fn delete_api_key(&self, id: &str) -> Result<(), ClientError> {
        self.delete(self.api_key_url(&[id])).await
    }
}
