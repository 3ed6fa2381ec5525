//! What people use. Features never import each other.
