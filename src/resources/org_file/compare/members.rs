//! Members and their levels.

use std::collections::HashSet;

use serde_json::Value;

use super::people::LEVEL;
use super::{Here, Phase, Planner, by_address};
use crate::api::Level;
use crate::error::Result;
use crate::resources::org_file::deeds::Deed;
use crate::resources::org_file::document::{MemberEntry, word_of};
use crate::resources::org_file::plan::{Action, FieldChange};
use crate::resources::org_file::state::Member;

/// Who owns the organization when the plan is carried out.
struct Owners {
    /// In small letters.
    all: HashSet<String>,
}

impl Owners {
    fn is_last(&self, email: &str) -> bool {
        self.all.len() == 1 && self.all.contains(&email.to_lowercase())
    }
}

impl Planner<'_> {
    pub(super) fn members(&mut self, here: &mut Here<'_>) -> Result<()> {
        let members = here.state.members.clone();
        here.members = members.iter().map(|member| member.email.to_lowercase()).collect();
        let Some(entries) = &here.entry.members else {
            for _ in &members {
                self.left_over("members", false);
            }
            return Ok(());
        };
        let known = by_address(&members);
        let mut owners = Owners {
            all: members
                .iter()
                .filter(|one| one.rank == Level::Owner)
                .map(|one| one.email.to_lowercase())
                .collect(),
        };
        // Those who rise come first, so that an owner may give the organization to another one.
        let rank = |entry: &&MemberEntry| entry.level.map_or(u8::MAX, |level| 15 - level.number());
        let mut sorted: Vec<&MemberEntry> = entries.iter().collect();
        sorted.sort_by_key(rank);
        for entry in sorted {
            match known.get(&entry.email.to_lowercase()) {
                Some(member) => self.level(entry, member, &mut owners),
                None => self.newcomer(here, entry, &mut owners),
            }
        }
        let listed: HashSet<String> = entries.iter().map(|entry| entry.email.to_lowercase()).collect();
        for member in members.iter().filter(|member| !listed.contains(&member.email.to_lowercase())) {
            self.unlisted(here, member, &mut owners);
        }
        Ok(())
    }

    fn level(&mut self, entry: &MemberEntry, member: &Member, owners: &mut Owners) {
        let Some(level) = entry.level.filter(|level| *level != member.rank) else { return };
        let (email, path) = (&member.email, &entry.path);
        if self.ctx.is_caller(member.user) {
            return self.block(
                "member",
                email,
                path,
                "whoever applies the file does not change their own level",
            );
        }
        if owners.is_last(email) {
            return self.block("member", email, path, "the last owner stays one");
        }
        if level == Level::Owner {
            owners.all.insert(email.to_lowercase());
        } else {
            owners.all.remove(&email.to_lowercase());
        }
        let change = self.change(Action::Update, "member", email);
        change.id = Some(member.user.to_string().into());
        change.fields =
            vec![FieldChange::new("level", Some(member.level.into()), Some(word_of(level).into()))];
        let phase = if level > member.rank { Phase::LevelsUp } else { Phase::LevelsDown };
        self.step(phase, path, Deed::SetLevel { user: member.user, level });
    }

    fn newcomer(&mut self, here: &mut Here<'_>, entry: &MemberEntry, owners: &mut Owners) {
        let level = entry.level.unwrap_or(LEVEL);
        let shown = vec![FieldChange::new("level", None, Some(word_of(level).into()))];
        if self.is_in_users(&entry.email) {
            here.members.insert(entry.email.to_lowercase());
            if level == Level::Owner {
                owners.all.insert(entry.email.to_lowercase());
            }
            self.change(Action::Add, "member", &entry.email).fields = shown;
            return self.step(Phase::Join, &entry.path, Deed::Join { email: entry.email.clone(), level });
        }
        if !entry.invite {
            return self.block("member", &entry.email, &entry.path, "not a member; add `invite: true`");
        }
        let open = here.state.invites.iter().find(|invite| invite.email.eq_ignore_ascii_case(&entry.email));
        let is_in_invites =
            here.entry.invites.iter().flatten().any(|invite| invite.email.eq_ignore_ascii_case(&entry.email));
        if is_in_invites || open.is_some_and(|invite| invite.level == word_of(level)) {
            return;
        }
        let (action, id) = match open {
            Some(invite) => (Action::Update, Some(Value::from(invite.id.to_string()))),
            None => (Action::Add, None),
        };
        let from = open.map(|invite| Value::from(invite.level));
        let change = self.change(action, "invite", &entry.email);
        change.id = id;
        change.fields = vec![FieldChange::new("level", from, Some(word_of(level).into()))];
        let fields = [
            ("target_email".to_owned(), Value::from(entry.email.clone())),
            ("level".to_owned(), level.number().into()),
        ];
        let deed = Deed::Invite { fields: fields.into_iter().collect(), access: Vec::new() };
        self.step(Phase::Invites, &entry.path, deed);
    }

    fn unlisted(&mut self, here: &mut Here<'_>, member: &Member, owners: &mut Owners) {
        // The first owner of what the file makes.
        if here.is_new || !self.left_over("members", true) {
            return;
        }
        let path = format!("{}.members", here.entry.path);
        if self.ctx.is_caller(member.user) {
            return self.block(
                "member",
                &member.email,
                &path,
                "whoever applies the file is not removed by it",
            );
        }
        if owners.is_last(&member.email) {
            return self.block("member", &member.email, &path, "the last owner is not removed");
        }
        owners.all.remove(&member.email.to_lowercase());
        here.members.remove(&member.email.to_lowercase());
        self.change(Action::Remove, "member", &member.email).id = Some(member.user.to_string().into());
        self.step(Phase::RemoveMembers, &path, Deed::RemoveMember(member.user));
    }
}
