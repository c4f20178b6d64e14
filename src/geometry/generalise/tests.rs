//! The rules of an outline, each by itself.
