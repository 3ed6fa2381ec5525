//! Plans are data: what each is called, costs and allows, beside what is free.

use std::collections::BTreeMap;

use serde::Serialize;

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $title:literal, $switch:literal;)*) => {
        /// What plans differ in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Feature { $($(#[$doc])* $name,)* }

        impl Feature {
            /// Every feature, as listed to people.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable key.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// For people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Whether it is on or off, and not counted.
            #[must_use]
            pub const fn is_switch(self) -> bool {
                match self { $(Self::$name => $switch,)* }
            }

            /// The feature of a key.
            #[must_use]
            pub fn from_key(key: &str) -> Option<Self> {
                match key { $($key => Some(Self::$name),)* _ => None }
            }
        }
    };
}

features! {
    /// Widgets of a company.
    MaxWidgets = "max_widgets", "Automations", false;
    /// Following links from found pages.
    DeepCollection = "deep_collection", "Deep collection", true;
    /// Public visibility and the shared pool.
    SharedPoolAccess = "shared_pool_access", "Shared pool", true;
    /// Pages one run may collect.
    CrawlPagesMax = "crawl_pages_max", "Pages per run", false;
    /// Active users of the appliance.
    Seats = "seats", "Active users", false;
}

/// How much of a feature a plan allows. A switch is `UpTo(0)` or `Unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// At most this many.
    UpTo(u64),
    /// As many as wanted; on.
    Unlimited,
}

impl Limit {
    /// Whether so many are allowed.
    #[must_use]
    pub const fn allows(self, amount: u64) -> bool {
        match self {
            Self::UpTo(limit) => amount <= limit,
            Self::Unlimited => true,
        }
    }

    /// The number; `None` = unlimited.
    #[must_use]
    pub const fn number(self) -> Option<u64> {
        match self {
            Self::UpTo(limit) => Some(limit),
            Self::Unlimited => None,
        }
    }

    /// Whichever allows more.
    #[must_use]
    pub fn larger(self, other: Self) -> Self {
        match (self, other) {
            (Self::UpTo(a), Self::UpTo(b)) => Self::UpTo(a.max(b)),
            _ => Self::Unlimited,
        }
    }
}

impl From<Option<u64>> for Limit {
    fn from(number: Option<u64>) -> Self {
        number.map_or(Self::Unlimited, Self::UpTo)
    }
}

const OFF: Limit = Limit::UpTo(0);
const ON: Limit = Limit::Unlimited;

/// A plan as sold.
#[derive(Clone, Copy, Debug)]
pub struct PlanDefinition {
    /// The stable key: what codes and subscriptions name.
    pub key: &'static str,
    /// For people.
    pub title: &'static str,
    /// The price as shown.
    pub price: &'static str,
    /// What it allows; a feature that is not named is off.
    pub features: &'static [(Feature, Limit)],
}

/// What every appliance may do without a code, and after one has ended.
pub const FREE_TIER_FEATURES: &[(Feature, Limit)] = &[
    (Feature::MaxWidgets, Limit::UpTo(3)),
    (Feature::DeepCollection, OFF),
    (Feature::SharedPoolAccess, OFF),
    (Feature::CrawlPagesMax, Limit::UpTo(50)),
    (Feature::Seats, Limit::UpTo(5)),
];

/// Key of the free tier.
pub const FREE: &str = "free";

/// Every plan, from the smallest to the largest.
pub const PLANS: &[PlanDefinition] = &[
    PlanDefinition { key: FREE, title: "Free", price: "Free of charge", features: FREE_TIER_FEATURES },
    PlanDefinition {
        key: "team",
        title: "Team",
        price: "By quotation, per year",
        features: &[
            (Feature::MaxWidgets, Limit::UpTo(25)),
            (Feature::DeepCollection, ON),
            (Feature::SharedPoolAccess, OFF),
            (Feature::CrawlPagesMax, Limit::UpTo(250)),
            (Feature::Seats, Limit::UpTo(10)),
        ],
    },
    PlanDefinition {
        key: "business",
        title: "Business",
        price: "By quotation, per year",
        features: &[
            (Feature::MaxWidgets, Limit::UpTo(250)),
            (Feature::DeepCollection, ON),
            (Feature::SharedPoolAccess, ON),
            (Feature::CrawlPagesMax, Limit::UpTo(1_000)),
            (Feature::Seats, Limit::UpTo(50)),
        ],
    },
    PlanDefinition {
        key: "enterprise",
        title: "Enterprise",
        price: "By quotation, per year",
        features: &[
            (Feature::MaxWidgets, Limit::Unlimited),
            (Feature::DeepCollection, ON),
            (Feature::SharedPoolAccess, ON),
            (Feature::CrawlPagesMax, Limit::UpTo(10_000)),
            (Feature::Seats, Limit::Unlimited),
        ],
    },
];

/// The plan of a key.
#[must_use]
pub fn find(key: &str) -> Option<&'static PlanDefinition> {
    PLANS.iter().find(|plan| plan.key == key)
}

/// The plan that applies to somebody: a definition with the overrides of their code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Key of the definition it comes from.
    pub key: &'static str,
    /// For people.
    pub title: &'static str,
    limits: BTreeMap<Feature, Limit>,
}

impl Plan {
    /// The free tier.
    #[must_use]
    pub fn free() -> Self {
        Self::of(&PLANS[0])
    }

    /// A plan as defined.
    #[must_use]
    pub fn of(definition: &PlanDefinition) -> Self {
        Self { key: definition.key, title: definition.title, limits: definition.features.iter().copied().collect() }
    }

    /// With one limit replaced; never below the free tier, which nobody may be worse off than.
    #[must_use]
    pub fn with(mut self, feature: Feature, limit: Limit) -> Self {
        let free = FREE_TIER_FEATURES.iter().find(|(free, _)| *free == feature).map_or(OFF, |(_, limit)| *limit);
        self.limits.insert(feature, limit.larger(free));
        self
    }

    /// What it allows of a feature.
    #[must_use]
    pub fn limit(&self, feature: Feature) -> Limit {
        self.limits.get(&feature).copied().unwrap_or(OFF)
    }
}

/// How much of a feature is in use, and how much more is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// What is there already, or was asked for at once.
    pub used: u64,
    /// What would come on top.
    pub adding: u64,
}

impl Use {
    /// One more beside `used`: a widget, a user.
    #[must_use]
    pub const fn one_more(used: u64) -> Self {
        Self { used, adding: 1 }
    }

    /// An amount asked for at once: pages of a run.
    #[must_use]
    pub const fn of(amount: u64) -> Self {
        Self { used: amount, adding: 0 }
    }

    /// A feature that is on or off.
    #[must_use]
    pub const fn switch() -> Self {
        Self { used: 0, adding: 1 }
    }
}

/// A plan does not allow it: 402 `plan_limit`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Refusal {
    /// What was asked for.
    pub feature: Feature,
    /// What the plan allows; 0 for a switch that is off.
    pub limit: u64,
    /// What is in use, or was asked for at once.
    pub used: u64,
    /// The plan that refuses.
    pub plan: &'static str,
    /// The smallest plan that would allow it; `None` when none does.
    pub lifted_by: Option<&'static PlanDefinition>,
}

impl PartialEq for PlanDefinition {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for PlanDefinition {}

impl Refusal {
    fn text(&self) -> String {
        let title = self.feature.title();
        if self.feature.is_switch() {
            format!("{title} is not part of the {} plan.", self.plan)
        } else {
            format!("{title}: the {} plan allows {}, and {} are in use or asked for.", self.plan, self.limit, self.used)
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self.lifted_by {
            Some(plan) => format!("The {} plan lifts this: enter a code for it under Licence.", plan.title),
            None => "No plan allows this much: use less.".to_owned(),
        }
    }
}

/// Whether a plan allows a use.
///
/// # Errors
/// The refusal, with the smallest plan that would allow it.
pub fn may(plan: &Plan, feature: Feature, wanted: Use) -> Result<(), Refusal> {
    let total = wanted.used.saturating_add(wanted.adding);
    match plan.limit(feature) {
        Limit::UpTo(limit) if total > limit => {
            let lifted_by = PLANS.iter().find(|candidate| Plan::of(candidate).limit(feature).allows(total));
            Err(Refusal { feature, limit, used: wanted.used, plan: plan.title, lifted_by })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_names_every_feature_and_none_gives_less_than_the_one_before() {
        for pair in PLANS.windows(2) {
            for &feature in Feature::ALL {
                let (small, large) = (Plan::of(&pair[0]).limit(feature), Plan::of(&pair[1]).limit(feature));
                assert_eq!(small.larger(large), large, "{} {}", pair[1].key, feature.key());
                assert!(pair[1].features.iter().any(|(named, _)| *named == feature));
                assert_eq!(Feature::from_key(feature.key()), Some(feature));
            }
        }
        assert_eq!(PLANS[0].key, FREE);
    }

    #[test]
    fn the_free_tier_is_useful() {
        let free = Plan::free();
        assert!(may(&free, Feature::MaxWidgets, Use::one_more(2)).is_ok());
        assert!(may(&free, Feature::CrawlPagesMax, Use::of(50)).is_ok());
    }

    #[test]
    fn a_refusal_names_the_limit_the_use_and_the_plan_that_lifts_it() {
        let refusal = may(&Plan::free(), Feature::MaxWidgets, Use::one_more(3)).unwrap_err();
        assert_eq!((refusal.limit, refusal.used, refusal.lifted_by.unwrap().key), (3, 3, "team"));
        assert_eq!(may(&Plan::free(), Feature::SharedPoolAccess, Use::switch()).unwrap_err().lifted_by.unwrap().key, "business");
        assert!(may(&Plan::free(), Feature::CrawlPagesMax, Use::of(20_000)).unwrap_err().lifted_by.is_none());
        assert!(refusal.to_string().contains("Free plan allows 3"), "{refusal}");
    }

    #[test]
    fn an_override_never_goes_below_the_free_tier() {
        let plan = Plan::free().with(Feature::MaxWidgets, Limit::UpTo(1)).with(Feature::Seats, Limit::UpTo(90));
        assert_eq!((plan.limit(Feature::MaxWidgets), plan.limit(Feature::Seats)), (Limit::UpTo(3), Limit::UpTo(90)));
    }
}
