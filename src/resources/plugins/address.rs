//! The whole addresses of plugins whose shown ones lack something: the token of a private repository.
//! Invariant: once the server has started with its secret key, each is sealed.

use serde::{Deserialize, Serialize};

use super::{Loaded, refused};
use crate::api::Ctx;
use crate::clock::Ids;
use crate::error::Result;
use crate::ids::PluginId;
use crate::resources::samples::Samples;
use crate::resources::secrets::Look;
use crate::store::{Parent, Table, Tx, WriteTx};
use crate::vault::{Sealed, Vault};

/// A whole address in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::resources) enum Address {
    /// As files of schema 2 hold it; sealed at the next start.
    Open(String),
    /// Sealed for its plugin.
    Sealed(Sealed),
}

/// The addresses that have a query, by plugin.
pub(super) static PRIVATE_URLS: Table<PluginId, Address> =
    Table::new("plugin_private_urls").belongs_to(&[&Parent::of(&super::PLUGINS, |(_, plugin)| *plugin)]);

impl Address {
    fn seal(vault: &Vault, ids: &Ids, plugin: PluginId, url: &str) -> Result<Address> {
        Ok(Address::Sealed(vault.seal(ids, &purpose(plugin), url)?))
    }

    /// `None` where it was sealed with another key than the server has.
    fn open(self, vault: &Vault, plugin: PluginId) -> Option<String> {
        match self {
            Address::Open(url) => Some(url),
            Address::Sealed(sealed) => vault.open(&purpose(plugin), &sealed),
        }
    }
}

/// A sealed address opens for its own plugin only.
fn purpose(plugin: PluginId) -> Vec<u8> {
    [b"plugin ".as_slice(), &plugin.0.to_be_bytes()].concat()
}

/// The address that a plugin was installed from, with its token.
///
/// # Errors
/// 400 where the token was sealed with another key.
pub(super) fn whole(ctx: &Ctx, tx: &Tx, found: &Loaded) -> Result<Option<String>> {
    let Some(address) = tx.get(&PRIVATE_URLS, &found.id)? else { return Ok(found.plugin.url.clone()) };
    let detail =
        "The token in this plugin's address was sealed with another secret key. Install the plugin again.";
    address.open(&ctx.vault, found.id).map(Some).ok_or_else(|| refused(detail))
}

/// Stores the whole address of a plugin.
pub(super) fn put(ctx: &Ctx, tx: &WriteTx, plugin: PluginId, url: &str) -> Result<()> {
    Ok(tx.put(&PRIVATE_URLS, &plugin, &Address::seal(&ctx.vault, &ctx.ids, plugin, url)?)?)
}

/// Seals what older files hold open. Does nothing the second time.
pub(super) fn seal_all(vault: &Vault, ids: &Ids, tx: &WriteTx) -> Result<()> {
    if vault.is_locked() {
        return Ok(());
    }
    for (plugin, address) in tx.all(&PRIVATE_URLS)? {
        if let Address::Open(url) = address {
            tx.put(&PRIVATE_URLS, &plugin, &Address::seal(vault, ids, plugin, &url)?)?;
        }
    }
    Ok(())
}

/// Both ways in which an address is stored.
pub(super) fn sample_variants(all: &mut Samples) {
    all.variants("plugin's address", &crate::every!(Address { Open("u".into()), Sealed(Sealed::sample()) }));
}

/// Shows every sealed address.
pub(super) fn show_sealed(tx: &Tx, look: Look<'_>) -> Result<()> {
    for (plugin, address) in tx.all(&PRIVATE_URLS)? {
        if let Address::Sealed(sealed) = &address {
            look(&purpose(plugin), sealed);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Storage, Store};

    #[tokio::test]
    async fn what_older_files_hold_open_is_sealed_once_and_not_while_the_key_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let place = Storage::File(folder.path().join("orgd.redb"));
        let store = Store::open(place, 1 << 20, vec![&PRIVATE_URLS]).unwrap();
        let stored = || store.read(|tx| Ok(tx.get(&PRIVATE_URLS, &PluginId(7))?.unwrap())).unwrap();
        let seal = |vault: Vault| store.write(move |tx| seal_all(&vault, &Ids::default(), tx));
        let vault = || Vault::of(&"k".repeat(32)).unwrap();
        let url = "https://github.com/u/r?private_token=t";
        store
            .write(move |tx| Ok(tx.put(&PRIVATE_URLS, &PluginId(7), &Address::Open(url.into()))?))
            .await
            .unwrap();
        seal(Vault::locked()).await.unwrap();
        assert!(matches!(stored(), Address::Open(_)));
        seal(vault()).await.unwrap();
        let Address::Sealed(first) = stored() else { panic!("it lies open") };
        seal(vault()).await.unwrap();
        let Address::Sealed(second) = stored() else { panic!("it lies open") };
        assert_eq!(first, second);
        assert_eq!(stored().open(&vault(), PluginId(7)).as_deref(), Some(url));
        assert_eq!(stored().open(&vault(), PluginId(8)), None);
    }
}
