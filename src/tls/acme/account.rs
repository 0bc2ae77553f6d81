//! The account at the authority: `acme.account`.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};

use super::error::OrderError;
use super::https::Https;
use super::{ExternalAccount, Options};
use crate::files::Readers;
use crate::tls::Error;
use crate::tls::store;

/// RFC 8555 section 7.3.4 has no padding, but authorities hand keys out with and without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads what is there, as an order would.
pub(super) fn check(options: &Options) -> Result<(), Error> {
    read(options)?;
    options.external_account.as_ref().map(external_key).transpose()?;
    Ok(())
}

/// The account that is kept, or a new one.
pub(super) async fn open(options: &Options) -> Result<Account, OrderError> {
    let builder = || Ok::<_, Error>(Account::builder_with_http(Box::new(Https::new(options.root_file.as_deref())?)));
    if let Some(credentials) = read(options)? {
        return Ok(builder()?.from_credentials(credentials).await?);
    }
    let contact = options.contact.iter().map(|address| format!("mailto:{address}")).collect::<Vec<_>>();
    let contact = contact.iter().map(String::as_str).collect::<Vec<_>>();
    let wanted = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let external = options.external_account.as_ref().map(external_key).transpose()?;
    let (account, credentials) = builder()?.create(&wanted, options.directory.clone(), external.as_ref()).await?;
    let text = serde_json::to_string(&credentials).map_err(instant_acme::Error::from)?;
    store::write(&file(&options.dir), &text, Readers::Owner)?;
    Ok(account)
}

/// Forgets the account that is kept.
pub(super) fn forget(options: &Options) -> Result<(), Error> {
    let file = file(&options.dir);
    std::fs::remove_file(&file).map_err(|source| Error::Write { file, source })
}

/// The account that is kept, if it is one of this authority's.
fn read(options: &Options) -> Result<Option<AccountCredentials>, Error> {
    let file = file(&options.dir);
    let Some(text) = store::read_key(&file)? else { return Ok(None) };
    let wrong = |_| Error::file(&file, "holds no account", "remove it, and a new account is made");
    let fields: serde_json::Value = serde_json::from_str(&text).map_err(wrong)?;
    let credentials = serde_json::from_value(fields.clone()).map_err(wrong)?;
    Ok(Some(credentials).filter(|_| fields["directory"] == options.directory.as_str()))
}

fn external_key(account: &ExternalAccount) -> Result<ExternalAccountKey, Error> {
    let file = &account.key_file;
    let right = "the key in base64url, as the authority gave it";
    let text = store::read_key(file)?.ok_or_else(|| Error::file(file, "is missing", right))?;
    let key = BASE64.decode(text.lines().next().unwrap_or_default().trim()).ok().filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| Error::file(file, "holds no key", right))?;
    Ok(ExternalAccountKey::new(account.id.clone(), &key))
}

fn file(dir: &Path) -> PathBuf {
    dir.join("acme.account")
}
