use base64ct::{Base64UrlUnpadded, Encoding as _};
use clap::Args;
use vestiary::{Options, OptionsInput, SealRing};
use vestiary_store::{Config, Encrypt, Sessions};

use crate::{
    failure::Failure,
    secrets::{Secret, SecretArgs},
    store::{OpenStore, StoreArgs},
};

/// Options of the service whose sessions they are.
#[derive(Args, Debug)]
pub(crate) struct ServiceArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keeping: KeepingArgs,
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
}

/// Options for the keys and records of the service.
#[derive(Args, Debug)]
pub(crate) struct KeepingArgs {
    /// The `namespace` of the service
    #[arg(long, value_name = "NAME", help_heading = "Service")]
    pub(crate) namespace: Option<String>,
    /// The service has `hashIds`. A session that you name by its ID is found either way
    #[arg(long, help_heading = "Service")]
    pub(crate) hash_ids: bool,
    /// The service has `encrypt`: new users' session lists are encrypted. Encrypted records are always read, if a
    /// secret decrypts them
    #[arg(long, help_heading = "Service")]
    pub(crate) encrypt: bool,
}

/// A store, and the options needed to interpret it.
pub(crate) struct Service {
    pub(crate) store: OpenStore,
    pub(crate) namespace: Option<String>,
    pub(crate) hash_ids: bool,
    pub(crate) encrypt: bool,
    secrets: Vec<Secret>,
}

impl ServiceArgs {
    pub(crate) async fn open(&self) -> Result<Service, Failure> {
        let secrets = self.secrets.read()?;
        self.open_with(secrets).await
    }

    pub(crate) async fn open_with(&self, secrets: Vec<Secret>) -> Result<Service, Failure> {
        let KeepingArgs { namespace, hash_ids, encrypt } = &self.keeping;
        // Validated before anything is connected.
        options(namespace.as_deref(), *hash_ids)?;
        Ok(Service {
            store: OpenStore::open(&self.store).await?,
            namespace: namespace.clone(),
            hash_ids: *hash_ids,
            encrypt: *encrypt,
            secrets,
        })
    }
}

impl Service {
    /// The sessions of one namespace. `sealed` says whether they read and write encrypted records and lists.
    pub(crate) fn sessions(
        &self,
        namespace: Option<&str>,
        hash_ids: bool,
        sealed: bool,
    ) -> Result<Sessions, Failure> {
        let mut config = if sealed {
            let mut long = self.long_secrets();
            let first = long.next().ok_or_else(no_secret)?;
            let config = Config::new(first).encrypt(Encrypt::Migrate);
            long.fold(config, Config::previous_secret)
        } else {
            // Nothing is signed or verified with this secret.
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|_| no_entropy())?;
            Config::new(Base64UrlUnpadded::encode_string(&bytes))
        };
        if let Some(namespace) = namespace {
            config = config.namespace(namespace);
        }
        Ok(Sessions::new(&config.hash_ids(hash_ids), self.store.clone())?)
    }

    /// The keys that decrypt records, if there is a secret that is long enough.
    pub(crate) fn seals(&self, namespace: Option<&str>) -> Option<SealRing> {
        let secrets: Vec<&str> = self.long_secrets().collect();
        SealRing::new(&secrets, namespace).ok()
    }

    /// Whether a key belongs to the selected sessions: all, or those of one namespace.
    pub(crate) fn is_mine(&self, key: &str) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|namespace| vestiary::StoreKey::parse(key).namespace == Some(namespace))
    }

    fn long_secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(Secret::expose).filter(|text| text.len() >= SealRing::SHORTEST)
    }
}

pub(crate) fn options(namespace: Option<&str>, hash_ids: bool) -> Result<Options, Failure> {
    Ok(Options::new(OptionsInput { namespace, hash_ids, ..OptionsInput::default() })?)
}

pub(crate) fn no_secret() -> Failure {
    let message = format!(
        "the record is encrypted, and no secret of {} bytes or more is given: set SESSION_SECRET, or pass \
         --secret-file",
        SealRing::SHORTEST
    );
    Failure::Usage("secret_missing", message)
}

pub(crate) fn no_entropy() -> Failure {
    Failure::Store("entropy", "the system has no random numbers".to_owned())
}
