//! Which scope of an API key a route needs. What is not named here takes a session: a new group of routes is closed to keys until somebody opens it.

use axum::http::Method;

use crate::model::api_key::Scope;

/// The scope with which an API key may use a route, given as the router has it; `None` = a key may not.
#[must_use]
pub fn needed(method: &Method, route: &str) -> Option<Scope> {
    let below = route.strip_prefix("/api/companies/{company}")?;
    let group = below.split('/').nth(1).unwrap_or_default();
    let reads = *method == Method::GET;
    // Who takes an automation over pays for it from then on; who used how much is for the members' admins, as the members are.
    if below.ends_with("/take-over") || below == "/usage/members" {
        return None;
    }
    Some(match group {
        "" | "widgets" | "runs" | "reports" | "documents" if reads => Scope::Read,
        "recall" | "chunks" | "pages" if reads => Scope::Recall,
        "conversations" | "chat-runs" => Scope::Chat,
        "widgets" | "runs" => Scope::Automations,
        "documents" => Scope::Documents,
        "usage" if reads => Scope::Usage,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileged_routes_and_unknown_ones_take_a_session() {
        let of = |method: Method, below: &str| needed(&method, &format!("/api/companies/{{company}}{below}"));
        assert_eq!(of(Method::GET, ""), Some(Scope::Read));
        assert_eq!(of(Method::GET, "/widgets/{widget}"), Some(Scope::Read));
        assert_eq!(of(Method::POST, "/widgets/{widget}/runs"), Some(Scope::Automations));
        assert_eq!(of(Method::GET, "/recall"), Some(Scope::Recall));
        assert_eq!(of(Method::DELETE, "/documents/{document}"), Some(Scope::Documents));
        for below in [
            "/export",
            "/deletion",
            "/transfer",
            "/usage/members",
            "/widgets/{widget}/take-over",
            "/members",
            "/members/{user}",
            "/invitations",
            "/api-keys",
            "/api-keys/{api_key}",
            "/something-new",
        ] {
            assert_eq!([Method::GET, Method::POST, Method::DELETE].map(|method| of(method, below)), [None; 3], "{below}");
        }
        assert_eq!((of(Method::DELETE, ""), of(Method::PATCH, "")), (None, None));
        assert_eq!(needed(&Method::GET, "/api/system-admin/users"), None);
        assert_eq!(needed(&Method::GET, "/api/me"), None);
    }
}
