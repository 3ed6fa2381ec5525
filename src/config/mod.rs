//! Settings: every variable the appliance knows, one file per section.
