//! psyche-llm
