//! The recurring tasks: a driver and one thin file each.
