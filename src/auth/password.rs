//! Passwords: strength, hash, proof.

use argon2::password_hash::{self, Output, ParamsString, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::blocks;
use crate::api::fields::Checked;
use crate::clock::Ids;
use crate::config::HashCost;
use crate::error::{Error, Result, invalid};

const CHARS_MIN: usize = 8;
/// zxcvbn scores are 0 to 4.
const SCORE_MIN: u8 = 3;
/// zxcvbn's time grows with the length; what comes after so many letters adds nothing.
const JUDGED_CHARS_MAX: usize = 100;
/// Longer passwords are refused before they are hashed.
pub const CHARS_MAX: usize = 1000;

/// The rule of a field that holds a new password: what can be said of it without much work.
///
/// # Errors
/// 400 for a short one.
pub fn is_long_enough(name: &'static str, value: &Checked) -> Result<()> {
    match value {
        Checked::Text(password) if password.chars().count() < CHARS_MIN => {
            let detail =
                format!("This password is too short. It must contain at least {CHARS_MIN} characters.");
            Err(invalid(name, "password_too_short", detail))
        }
        _ => Ok(()),
    }
}

/// Refuses short and guessable passwords.
pub fn check_strength(password: &str) -> Result<()> {
    is_long_enough("password", &Checked::Text(password.to_owned()))?;
    let start: String = password.chars().take(JUDGED_CHARS_MAX).collect();
    let estimate = zxcvbn::zxcvbn(&start, &[]);
    if u8::from(estimate.score()) >= SCORE_MIN {
        return Ok(());
    }
    let suggestions: Vec<String> = estimate
        .feedback()
        .map(|feedback| feedback.suggestions().iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    let detail =
        if suggestions.is_empty() { "This password is too weak.".to_owned() } else { suggestions.join(" ") };
    Err(invalid("password", "password_too_weak", detail))
}

/// Argon2id with 19 MiB, two passes and one lane: the recommendation of OWASP for servers; or the least that there is.
fn params(cost: HashCost) -> Params {
    let (kib, passes) = match cost {
        HashCost::Full => (19 * 1024, 2),
        HashCost::Least => (Params::MIN_M_COST, Params::MIN_T_COST),
    };
    Params::new(kib, passes, 1, None).expect("the parameters are within Argon2's bounds")
}

/// The hash itself.
fn output_of(password: &str, salt: Salt<'_>, params: Params) -> password_hash::Result<Output> {
    let mut bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut bytes)?;
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let blocks = params.block_count();
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Output::init_with(length, |out| {
        let hashing = |blocks: &mut [Block]| {
            hasher.hash_password_into_with_memory(password.as_bytes(), salt, out, blocks)
        };
        Ok(blocks::with(blocks, hashing)?)
    })
}

/// The hash to store, which says what it cost.
pub fn hash(ids: &Ids, cost: HashCost, password: &str) -> Result<String> {
    let fail =
        |cause: password_hash::Error| Error::failed("a password could not be hashed", cause.to_string());
    let salt = SaltString::encode_b64(&ids.bytes::<16>()).map_err(fail)?;
    let stored = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params(cost)).map_err(fail)?,
        salt: Some(salt.as_salt()),
        hash: Some(output_of(password, salt.as_salt(), params(cost)).map_err(fail)?),
    };
    Ok(stored.to_string())
}

/// Whether the password is the one that was hashed. Takes as long where there is no hash, so that an
/// unknown address looks like a wrong password.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm8$fOqoTX6d6WzTDqJpNd7HBl9zMB+Z1DSwD9YwkrZ0o6o";
    let Ok(stored) = PasswordHash::new(hash.unwrap_or(NOBODY)) else { return false };
    let (Some(salt), Some(wanted), Ok(params)) = (stored.salt, stored.hash, Params::try_from(&stored)) else {
        return false;
    };
    // Outputs are compared in constant time.
    output_of(password, salt, params).is_ok_and(|output| output == wanted) && hash.is_some()
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[test]
    fn weak_passwords_are_refused_with_advice() {
        let advice = |password| match check_strength(password) {
            Err(Error::Invalid { code, detail, .. }) => format!("{code}: {detail}"),
            _ => "fine".into(),
        };
        assert!(advice("short").starts_with("password_too_short"));
        let another = "password_too_weak: Add another word or two. Uncommon words are better.";
        assert_eq!(advice("12345678"), another);
        assert_eq!(advice("password1"), another);
        assert_eq!(advice("abcdefgh"), format!("{another} Avoid sequences."));
        assert_eq!(advice("aaaaaaaa"), format!("{another} Avoid repeated words and characters."));
        assert_eq!(advice("Tr0ub4dor&3"), "fine");
    }

    #[test]
    fn only_the_right_password_opens_a_hash() {
        let stored = hash(&Ids::default(), HashCost::Full, "correct horse").unwrap();
        assert!(verify("correct horse", Some(&stored)));
        assert!(!verify("wrong horse", Some(&stored)));
        assert!(!verify("correct horse", None));
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        // What the library's own functions make and judge is the same.
        let library = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(HashCost::Full));
        let parsed = PasswordHash::new(&stored).unwrap();
        assert!(library.verify_password(b"correct horse", &parsed).is_ok());
        let salt = SaltString::encode_b64(b"sixteen letters.").unwrap();
        let other = library.hash_password(b"correct horse", &salt).unwrap().to_string();
        assert!(verify("correct horse", Some(&other)) && !verify("wrong horse", Some(&other)));
        for broken in ["", "$argon2id$", "plain", "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm8"] {
            assert!(!verify("correct horse", Some(broken)), "{broken}");
        }
        let cheap = hash(&Ids::default(), HashCost::Least, "correct horse").unwrap();
        assert!(cheap.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{cheap}");
        assert!(verify("correct horse", Some(&cheap)) && !verify("wrong horse", Some(&cheap)));
    }
}
