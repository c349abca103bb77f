//! psyche-lab
