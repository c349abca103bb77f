//! psyche-infer
