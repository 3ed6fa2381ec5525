//! What mails say: who wrote, what for, what to do, until when. Plain text, lines of at most 78 characters but for links.

use crate::base::clock::Timestamp;
use crate::model::role::Role;

/// A subject and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) subject: String,
    pub(super) text: String,
}

/// A moment as people read it.
fn until(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {} UTC", &text[..10], &text[11..16])
}

/// Names come from people: one line, however they were typed.
fn line(text: &str) -> String {
    crate::base::text::collapse_whitespace(text)
}

pub(super) fn invitation(company: &str, by: &str, role: Role, link: &str, expires_at: Timestamp) -> Words {
    let (company, by) = (line(company), line(by));
    Words {
        subject: format!("Invitation to {company} on Onsite"),
        text: format!(
            "{by} invites you to {company} on Onsite, with the role {role}.\n\n\
             Open this link to accept. It works once, until {}:\n\n{link}\n\n\
             If you do not know what this is about, ignore this mail: nothing happens\nwithout the link.\n",
            until(expires_at),
            role = role.as_str(),
        ),
    }
}

pub(super) fn password_reset(link: &str, expires_at: Timestamp) -> Words {
    Words {
        subject: "A new password for Onsite".to_owned(),
        text: format!(
            "A new password can be set for your account.\n\n\
             Open this link to choose one. It works once, until {}:\n\n{link}\n\n\
             If you did not ask for it, ignore this mail: your password stays as it is.\n",
            until(expires_at),
        ),
    }
}

pub(super) fn verify_email(link: &str, expires_at: Timestamp) -> Words {
    Words {
        subject: "Verify your mail address for Onsite".to_owned(),
        text: format!(
            "An account of Onsite has this mail address.\n\n\
             Open this link to verify that it is yours. It works once, until {}:\n\n{link}\n\n\
             If the account is not yours, ignore this mail: nobody signs in to it without\nthe link.\n",
            until(expires_at),
        ),
    }
}

pub(super) fn sign_in_code(code: &str, expires_at: Timestamp) -> Words {
    Words {
        // Not in the subject: telephones show it while they are locked.
        subject: "Your code for Onsite".to_owned(),
        text: format!(
            "Your code to sign in: {code}\n\nIt works once, until {}.\n\n\
             If you are not signing in, somebody knows your password: change it.\n",
            until(expires_at),
        ),
    }
}

pub(super) fn test(host: &str) -> Words {
    Words {
        subject: "A test of mail from Onsite".to_owned(),
        text: format!("A system admin of Onsite on {host}\ntried whether mail arrives. It does.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_begin_a_line_of_their_own() {
        let at = "2030-01-08T00:00:00Z".parse().unwrap();
        let words = invitation("Example\r\nBcc: x@y.z", "Eve\n\nhttps://evil.example", Role::Member, "https://onsite.example/invitation#abc", at);
        assert_eq!(words.subject, "Invitation to Example Bcc: x@y.z on Onsite");
        assert!(words.text.starts_with("Eve https://evil.example invites you"));
        assert!(words.text.contains("until 2030-01-08 00:00 UTC:\n\nhttps://onsite.example/invitation#abc\n"));
        assert!(!sign_in_code("123456", at).subject.contains("123456"));
    }
}
