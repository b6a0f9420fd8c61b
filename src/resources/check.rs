//! What must hold across tables: every index row has its record, every record its index rows, and
//! everything that names something else names what is there.

use super::{
    access_controls, activity, api_keys, batch_exports, domains, events, invites, members, organizations,
    outbox, persons, plugins, projects, proxy_records, role_memberships, roles, sessions, two_factor, users,
};
use crate::error::Result;
use crate::store::{Problems, Store, Tx, check_counts};

/// Everything that is wrong with the file; empty where it is whole.
pub fn check(store: &Store) -> Result<Problems> {
    store.read(|tx| {
        let mut problems = check_counts(store, tx)?;
        check_users(tx, &mut problems)?;
        check_keys(tx, &mut problems)?;
        check_organizations(tx, &mut problems)?;
        check_members(tx, &mut problems)?;
        check_projects(tx, &mut problems)?;
        check_invites(tx, &mut problems)?;
        batch_exports::check(tx, &mut problems)?;
        events::check(tx, &mut problems)?;
        persons::check(tx, &mut problems)?;
        activity::check(tx, &mut problems)?;
        plugins::check(tx, &mut problems)?;
        domains::check(tx, &mut problems)?;
        roles::check(tx, &mut problems)?;
        role_memberships::check(tx, &mut problems)?;
        proxy_records::check(tx, &mut problems)?;
        access_controls::check(tx, &mut problems)?;
        sessions::check(tx, &mut problems)?;
        two_factor::check(tx, &mut problems)?;
        // Read to prove that every row can be read.
        tx.all(&outbox::OUTBOX)?;
        Ok(problems)
    })
}

/// Adds the sentence where the promise does not hold.
pub(super) fn expect(problems: &mut Problems, holds: bool, sentence: impl FnOnce() -> String) {
    if !holds {
        problems.push(sentence());
    }
}

fn check_users(tx: &Tx, problems: &mut Problems) -> Result<()> {
    let all = tx.all(&users::USERS)?;
    for (uuid, user) in &all {
        let indexed = users::by_email(tx, &user.email)? == Some(*uuid);
        expect(problems, indexed, || format!("user {uuid} is not found by his address"));
    }
    let indexed = tx.all(&users::BY_EMAIL)?.len();
    expect(problems, indexed == all.len(), || format!("{indexed} addresses stand for {} users", all.len()));
    Ok(())
}

fn check_keys(tx: &Tx, problems: &mut Problems) -> Result<()> {
    let all = tx.all(&api_keys::KEYS)?;
    for (hash, key) in &all {
        let has_user = tx.has(&users::USERS, &key.user)?;
        expect(problems, has_user, || format!("key {} belongs to no user", key.id));
        let indexed = tx.get(&api_keys::BY_USER, &(key.user, key.id.clone()))? == Some(*hash);
        expect(problems, indexed, || format!("key {} is not found by its user", key.id));
    }
    let indexed = tx.all(&api_keys::BY_USER)?.len();
    expect(problems, indexed == all.len(), || format!("{indexed} index rows stand for {} keys", all.len()));
    Ok(())
}

fn check_organizations(tx: &Tx, problems: &mut Problems) -> Result<()> {
    let all = tx.all(&organizations::ORGANIZATIONS)?;
    for (id, organization) in &all {
        let indexed = tx.get(&organizations::BY_SLUG, &organization.slug)? == Some(*id);
        expect(problems, indexed, || format!("organization {id} is not found by its slug"));
        expect(problems, members::count(tx, *id)? > 0, || format!("organization {id} has no member"));
    }
    let indexed = tx.all(&organizations::BY_SLUG)?.len();
    expect(problems, indexed == all.len(), || {
        format!("{indexed} slugs stand for {} organizations", all.len())
    });
    Ok(())
}

fn check_members(tx: &Tx, problems: &mut Problems) -> Result<()> {
    let all = tx.all(&members::MEMBERS)?;
    for ((user, organization), member) in &all {
        let whole = tx.has(&organizations::ORGANIZATIONS, organization)? && tx.has(&users::USERS, user)?;
        expect(problems, whole, || format!("membership {} joins what is not there", member.id));
        let indexed = tx.get(&members::BY_JOINING, &(*organization, member.id))? == Some(*user);
        expect(problems, indexed, || format!("membership {} is not indexed", member.id));
    }
    let indexed = tx.all(&members::BY_JOINING)?.len();
    expect(problems, indexed == all.len(), || {
        format!("{indexed} index rows stand for {} memberships", all.len())
    });
    Ok(())
}

fn check_projects(tx: &Tx, problems: &mut Problems) -> Result<()> {
    let all = tx.all(&projects::PROJECTS)?;
    for ((organization, id), project) in &all {
        let has_home = tx.has(&organizations::ORGANIZATIONS, organization)?;
        expect(problems, has_home, || format!("project {id} belongs to no organization"));
        let whole = tx.has(&projects::DETAILS, id)?
            && tx.get(&projects::BY_NUMBER, id)? == Some(*organization)
            && tx.get(&projects::BY_TOKEN, &project.api_token)? == Some(*id);
        expect(problems, whole, || format!("project {id} is not whole"));
    }
    let others = [
        tx.all(&projects::DETAILS)?.len(),
        tx.all(&projects::BY_NUMBER)?.len(),
        tx.all(&projects::BY_TOKEN)?.len(),
    ];
    for rows in others {
        expect(problems, rows == all.len(), || format!("{rows} rows stand for {} projects", all.len()));
    }
    Ok(())
}

fn check_invites(tx: &Tx, problems: &mut Problems) -> Result<()> {
    let all = tx.all(&invites::INVITES)?;
    for ((organization, id), invite) in &all {
        let is_found_by_token = match &invite.token {
            Some(token) => tx.get(&invites::BY_TOKEN, &token.hash)? == Some((*organization, *id)),
            None => false,
        };
        let whole = tx.has(&organizations::ORGANIZATIONS, organization)?
            && is_found_by_token
            && tx.get(&invites::BY_EMAIL, &(invite.target_email.to_lowercase(), *id))? == Some(*organization);
        expect(problems, whole, || format!("invite {id} is not whole"));
    }
    for indexed in [tx.all(&invites::BY_TOKEN)?.len(), tx.all(&invites::BY_EMAIL)?.len()] {
        expect(problems, indexed == all.len(), || {
            format!("{indexed} index rows stand for {} invites", all.len())
        });
    }
    Ok(())
}
