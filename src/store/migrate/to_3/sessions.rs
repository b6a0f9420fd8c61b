//! A session says itself how far its second step is, and where it was last used; what had no second step
//! though its user has a device ends. The secret of a device may be sealed; no vault is at hand here, so
//! that is done at the start that follows. A secret that was shown but never proved is deleted.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::super::StoreError;
use super::super::super::table::Table;
use super::super::super::tx::WriteTx;
use crate::clock::Time;

/// By the hash of a session: gone.
pub(in super::super) const SECOND_STEPS: &str = "sessions_second_step";

type Hash = [u8; 32];

#[derive(Serialize, Deserialize)]
struct OldSession {
    user: Uuid,
    created_at: Time,
    authenticated_at: Time,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    id: Uuid,
    user: Uuid,
    created_at: Time,
    authenticated_at: Time,
    last_activity: Time,
    second_step: SecondStep,
    setups: u32,
    method: Method,
    address: Option<IpAddr>,
    user_agent: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum SecondStep {
    None,
    Awaited,
    Done,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Method {
    Password,
    SignUp,
}

#[derive(Serialize, Deserialize)]
struct OldTwoFactor {
    pending: Option<[u8; 20]>,
    device: Option<OldDevice>,
}

#[derive(Serialize, Deserialize)]
struct OldDevice {
    secret: [u8; 20],
    confirmed_at: Time,
    last_step: u64,
    recovery_codes: Vec<[u8; 32]>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Device {
    secret: Secret,
    confirmed_at: Time,
    last_step: u64,
    recovery_codes: Vec<[u8; 32]>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Secret {
    Open([u8; 20]),
}

const OLD_SESSIONS: Table<Hash, OldSession> = Table::new("sessions");
const SESSIONS: Table<Hash, Session> = Table::new("sessions");
const STEPS: Table<Hash, SecondStep> = Table::new(SECOND_STEPS);
const BY_USER: Table<(Uuid, Hash), ()> = Table::new("sessions_by_user");
const BY_AGE: Table<(Uuid, Hash), ()> = Table::new("sessions_by_age");
const OLD_DEVICES: Table<Uuid, OldTwoFactor> = Table::new("two_factor");
const DEVICES: Table<Uuid, Device> = Table::new("two_factor");

pub(super) fn run(tx: &WriteTx) -> Result<(), StoreError> {
    let devices: HashMap<Uuid, OldDevice> =
        tx.all(&OLD_DEVICES)?.into_iter().filter_map(|(user, record)| Some((user, record.device?))).collect();
    let steps: HashMap<Hash, SecondStep> = tx.all(&STEPS)?.into_iter().collect();
    let mut ids = HashMap::new();
    let sessions: HashMap<Hash, OldSession> = tx.all(&OLD_SESSIONS)?.into_iter().collect();
    for ((id, hash), ()) in tx.all(&BY_AGE)? {
        if sessions.contains_key(&hash) {
            ids.insert(hash, id);
        } else {
            tx.delete(&BY_AGE, &(id, hash))?;
        }
    }
    for (hash, session) in sessions {
        move_session(tx, hash, session, ids.get(&hash), steps.get(&hash), &devices)?;
    }
    for hash in steps.keys() {
        tx.delete(&STEPS, hash)?;
    }
    for (user, _) in tx.all(&OLD_DEVICES)? {
        tx.delete(&OLD_DEVICES, &user)?;
    }
    for (user, OldDevice { secret, confirmed_at, last_step, recovery_codes }) in devices {
        let device = Device { secret: Secret::Open(secret), confirmed_at, last_step, recovery_codes };
        tx.put(&DEVICES, &user, &device)?;
    }
    Ok(())
}

fn move_session(
    tx: &WriteTx,
    hash: Hash,
    session: OldSession,
    id: Option<&Uuid>,
    step: Option<&SecondStep>,
    devices: &HashMap<Uuid, OldDevice>,
) -> Result<(), StoreError> {
    let OldSession { user, created_at, authenticated_at } = session;
    let second_step = step.copied().unwrap_or(SecondStep::None);
    let has_less = second_step == SecondStep::None && devices.contains_key(&user);
    let Some(id) = id.filter(|_| !has_less) else {
        tx.delete(&OLD_SESSIONS, &hash)?;
        if let Some(id) = id {
            tx.delete(&BY_AGE, &(*id, hash))?;
        }
        return tx.delete(&BY_USER, &(user, hash));
    };
    let moved = Session {
        id: *id,
        user,
        created_at,
        authenticated_at,
        last_activity: created_at,
        second_step,
        setups: 0,
        method: Method::Password,
        address: None,
        user_agent: String::new(),
    };
    tx.put(&SESSIONS, &hash, &moved)
}

#[cfg(test)]
mod tests {
    use redb::Database;
    use redb::backends::InMemoryBackend;

    use super::super::super::{META, Step, bring_up_by, change, names};
    use super::*;
    use crate::store::{TableInfo, Tx, snapshot::Snapshot};

    const NOW: Time = Time(1_728_396_939_123_456);

    fn user(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn tables() -> Vec<TableInfo> {
        vec![META.info(), STEPS.info(), SESSIONS.info(), BY_USER.info(), BY_AGE.info(), DEVICES.info()]
    }

    #[test]
    fn no_session_gains_and_those_without_the_second_step_of_their_user_end() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        bring_up_by(&database, None, &tables(), 2, &[]).unwrap();
        // Sessions by their first byte: of a user without a device (1), and of one with (2).
        let made = [
            (10, 1, None),
            (11, 1, Some(SecondStep::Awaited)),
            (12, 1, Some(SecondStep::Done)),
            (20, 2, None),
            (21, 2, Some(SecondStep::Awaited)),
            (22, 2, Some(SecondStep::Done)),
        ];
        let device = |secret| OldDevice {
            secret: [secret; 20],
            confirmed_at: NOW,
            last_step: 7,
            recovery_codes: vec![[8; 32]],
        };
        change(&database, names(&tables()), |tx| {
            for (byte, owner, step) in made {
                let hash = [byte; 32];
                let session = OldSession { user: user(owner), created_at: NOW, authenticated_at: NOW };
                tx.put(&OLD_SESSIONS, &hash, &session)?;
                tx.put(&BY_USER, &(user(owner), hash), &())?;
                tx.put(&BY_AGE, &(user(100 + u128::from(byte)), hash), &())?;
                if let Some(step) = step {
                    tx.put(&STEPS, &hash, &step)?;
                }
            }
            // Of a session that has ended.
            tx.put(&BY_AGE, &(user(99), [99; 32]), &())?;
            tx.put(&OLD_DEVICES, &user(1), &OldTwoFactor { pending: Some([9; 20]), device: None })?;
            tx.put(&OLD_DEVICES, &user(2), &OldTwoFactor { pending: None, device: Some(device(7)) })
        })
        .unwrap();
        let steps = [Step { to: 3, ends: &[SECOND_STEPS], run }];
        bring_up_by(&database, None, &tables(), 3, &steps).unwrap();
        let snapshot = Snapshot::take(&database, names(&tables()), 0, std::sync::Arc::default()).unwrap();
        let tx = Tx::of(std::sync::Arc::new(snapshot));
        let sessions = tx.all(&SESSIONS).unwrap();
        let seen: Vec<_> = sessions.iter().map(|(hash, session)| (hash[0], session.second_step)).collect();
        let (none, awaited, done) = (SecondStep::None, SecondStep::Awaited, SecondStep::Done);
        assert_eq!(seen, [(10, none), (11, awaited), (12, done), (21, awaited), (22, done)]);
        assert_eq!((sessions[0].1.id, sessions[0].1.last_activity), (user(110), NOW));
        assert_eq!((tx.all(&BY_USER).unwrap().len(), tx.all(&BY_AGE).unwrap().len()), (5, 5));
        assert_eq!(tx.all(&STEPS).unwrap(), []);
        let OldDevice { confirmed_at, last_step, recovery_codes, .. } = device(7);
        let moved = Device { secret: Secret::Open([7; 20]), confirmed_at, last_step, recovery_codes };
        assert_eq!(tx.all(&DEVICES).unwrap(), [(user(2), moved)]);
    }
}
