//! Composition and lifecycle: what is built, in which order, and how it stops.
